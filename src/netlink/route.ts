import {
  type Addr,
  addrBytes,
  addressFamily,
  addrFromBytes,
  type Family,
  formatAddr,
  widthOf,
} from '../ip/addr'
import { type Cidr, formatCidr } from '../ip/cidr'
import { unlessRefused } from './error'
import { type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './socket'
import {
  type Attribute,
  type Attributes,
  messageBody,
  putU32,
  readAttributes,
  readIndex,
  readIndexAt,
  readNumber,
} from './wire/message'

/** <linux/rtnetlink.h> */
const RTM_NEWROUTE = 24
const RTM_DELROUTE = 25
const RTM_GETROUTE = 26
const RTA_DST = 1
const RTA_OIF = 4
const RTA_GATEWAY = 5
const RTA_PRIORITY = 6
const RTA_METRICS = 8
const RTA_MULTIPATH = 9
const RTA_TABLE = 15
const RTAX_MTU = 2
const RTAX_ADVMSS = 8
const RTPROT_BOOT = 3
const RTN_UNICAST = 1
export const RT_TABLE_MAIN = 254
export const RT_TABLE_LOCAL = 255
/** <linux/rtnetlink.h>: a route learned from an IPv6 router advertisement. */
export const RTPROT_RA = 9

// <linux/rtnetlink.h>                             offset
// struct rtmsg {
//   unsigned char rtm_family, rtm_dst_len;        0, 1
//   unsigned char rtm_src_len, rtm_tos;           2, 3
//   unsigned char rtm_table, rtm_protocol;        4, 5
//   unsigned char rtm_scope, rtm_type;            6, 7
//   unsigned rtm_flags;                           8
// };                                              12 bytes
const SIZEOF_RTMSG = 12

/** A route through an interface. `table` is RT_TABLE_MAIN, `scope` global and `protocol` boot where left out. */
export type KernelRoute = {
  dst: Cidr
  gw?: Addr | undefined
  /** The ifindex it leaves by; 0 leaves it to the kernel to find the one that `gw` is reached by. */
  index: number
  priority?: number | undefined
  table?: number | undefined
  scope?: number | undefined
  mtu?: number | undefined
  advmss?: number | undefined
  protocol?: number | undefined
}

const rtMsg = (family: Family, route: Partial<KernelRoute>): Buffer => {
  const header = Buffer.alloc(SIZEOF_RTMSG)
  const table = route.table ?? RT_TABLE_MAIN
  header[0] = addressFamily(family)
  header[1] = route.dst?.prefix ?? 0
  header[4] = table < 256 ? table : 0 // RTA_TABLE carries the larger ones
  header[5] = route.protocol ?? RTPROT_BOOT
  header[6] = route.scope ?? 0
  header[7] = RTN_UNICAST
  return header
}

const number = (type: number, value: number | undefined): Attribute => [
  type,
  value === undefined ? undefined : putU32(value),
]

const routeBody = (route: KernelRoute): Uint8Array[] => {
  const metrics = [number(RTAX_MTU, route.mtu), number(RTAX_ADVMSS, route.advmss)]
  return messageBody(rtMsg(route.dst.addr.family, route), [
    [RTA_DST, route.dst.prefix === 0 ? undefined : addrBytes(route.dst.addr)],
    [RTA_GATEWAY, route.gw && addrBytes(route.gw)],
    number(RTA_OIF, route.index),
    number(RTA_PRIORITY, route.priority),
    number(RTA_TABLE, route.table),
    [RTA_METRICS, route.mtu === undefined && route.advmss === undefined ? undefined : metrics],
  ])
}

const say = (route: KernelRoute): string =>
  `the route to ${formatCidr(route.dst)}${route.gw ? ` via ${formatAddr(route.gw)}` : ''}`

/** Adds a route; the very same one there already is no failure. Equivalent to: `ip route append $dst via $gw dev …`. */
export const routeAdd = (nl: NetlinkSocket, route: KernelRoute): void => {
  unlessRefused(['EEXIST'], () =>
    nl.request(`add ${say(route)}`, { type: RTM_NEWROUTE, flags: NLM_F_CREATE, body: routeBody(route) }),
  )
}

/**
 * Adds a route unless there is one of the same destination and metric, of any program: throws EEXIST if there is. One
 * whose gateway is on no link of this host is refused with ENETUNREACH, EHOSTUNREACH or EINVAL.
 * Equivalent to: `ip route add $dst via $gw proto $protocol`.
 */
export const routeAddNew = (nl: NetlinkSocket, route: KernelRoute): void => {
  const flags = NLM_F_CREATE | NLM_F_EXCL
  nl.request(`add ${say(route)}`, { type: RTM_NEWROUTE, flags, body: routeBody(route) })
}

/** Removes a route, with `protocol` only one of that protocol; one that is not there is no failure. */
export const routeDel = (nl: NetlinkSocket, route: KernelRoute): void => {
  unlessRefused(['ESRCH'], () =>
    nl.request(`remove ${say(route)}`, { type: RTM_DELROUTE, body: routeBody(route) }),
  )
}

// <linux/rtnetlink.h>                             offset
// struct rtnexthop {
//   unsigned short rtnh_len;                      0
//   unsigned char rtnh_flags, rtnh_hops;          2, 3
//   int rtnh_ifindex;                             4
// };                                              8 bytes, its attributes behind it
const SIZEOF_RTNEXTHOP = 8

type NextHop = { readonly index: number; readonly gateway: Buffer | undefined }

/** The ways of a route that has several; of one that has a single one, that. */
const nextHops = (attributes: Attributes): NextHop[] => {
  const several = attributes.get(RTA_MULTIPATH)
  if (!several) {
    return [{ index: readIndex(attributes.get(RTA_OIF)), gateway: attributes.get(RTA_GATEWAY) }]
  }
  const hops: NextHop[] = []
  for (let at = 0; at + SIZEOF_RTNEXTHOP <= several.length; ) {
    const length = Math.max(SIZEOF_RTNEXTHOP, several.readUInt16LE(at))
    const inner = readAttributes(several.subarray(at + SIZEOF_RTNEXTHOP, at + length))
    hops.push({ index: readIndexAt(several, at + 4), gateway: inner.get(RTA_GATEWAY) })
    at += (length + 3) & ~3
  }
  return hops
}

/** A route as the kernel lists it. */
export type ListedRoute = Required<Omit<KernelRoute, 'mtu' | 'advmss'>>

/**
 * The unicast routes of one family in all tables, or only those over one interface; one with several next hops once for
 * each. Equivalent to: `ip -$family route show table all type unicast [dev $over]`.
 */
export const routeList = (nl: NetlinkSocket, family: Family, over?: number): ListedRoute[] => {
  const header = Buffer.alloc(SIZEOF_RTMSG)
  header[0] = addressFamily(family)
  const routes: ListedRoute[] = []
  const body = messageBody(header, [number(RTA_OIF, over)])
  for (const { type, data } of nl.dump('list the routes', { type: RTM_GETROUTE, body })) {
    if (type !== RTM_NEWROUTE || data[7] !== RTN_UNICAST) continue
    const attributes = readAttributes(data, SIZEOF_RTMSG)
    const dst = attributes.get(RTA_DST)
    for (const { index, gateway } of nextHops(attributes)) {
      // A kernel without strict checking sends those of all interfaces.
      if (over !== undefined && index !== over) continue
      routes.push({
        dst: {
          addr: (dst && addrFromBytes(dst)) ?? { family, bits: 0n },
          prefix: data[1] ?? 0,
        },
        gw: gateway && addrFromBytes(gateway),
        index,
        priority: readNumber(attributes.get(RTA_PRIORITY)) ?? 0,
        table: readNumber(attributes.get(RTA_TABLE)) ?? data[4] ?? 0,
        protocol: data[5] ?? 0,
        scope: data[6] ?? 0,
      })
    }
  }
  return routes
}

/** <linux/rtnetlink.h>: routes that lead nowhere, by their types. */
const rejecting = new Map([
  [6, 'blackhole'],
  [7, 'unreachable'],
  [8, 'prohibit'],
])

/** A route of the main table that refuses packets: "unreachable", "blackhole" or "prohibit". */
export type RejectingRoute = { readonly kind: string; readonly dst: Cidr; readonly priority: number }

/** The routes of one family's main table that refuse packets. Equivalent to: `ip -$family route show type $kind`. */
export const rejectingRoutes = (nl: NetlinkSocket, family: Family): RejectingRoute[] => {
  const body = messageBody(
    Buffer.concat([Buffer.from([addressFamily(family)]), Buffer.alloc(SIZEOF_RTMSG - 1)]),
    [],
  )
  return nl.dump('list the routes', { type: RTM_GETROUTE, body }).flatMap(({ type, data }) => {
    const kind = rejecting.get(data[7] ?? 0)
    if (type !== RTM_NEWROUTE || kind === undefined) return []
    const attributes = readAttributes(data, SIZEOF_RTMSG)
    if ((readNumber(attributes.get(RTA_TABLE)) ?? data[4]) !== RT_TABLE_MAIN) return []
    const dst = attributes.get(RTA_DST)
    const addr = (dst && addrFromBytes(dst)) ?? { family, bits: 0n }
    const priority = readNumber(attributes.get(RTA_PRIORITY)) ?? 0
    return [{ kind, dst: { addr, prefix: data[1] ?? 0 }, priority }]
  })
}

/** The interface a packet to `addr` would leave by; undefined if there is no route. Equivalent to: `ip route get $addr`. */
export const routeGet = (nl: NetlinkSocket, addr: Addr): number | undefined => {
  const header = Buffer.alloc(SIZEOF_RTMSG)
  header[0] = addressFamily(addr.family)
  header[1] = widthOf(addr.family)
  const replies = unlessRefused(['ENETUNREACH', 'EHOSTUNREACH'], () =>
    nl.request(`look up the route to ${formatAddr(addr)}`, {
      type: RTM_GETROUTE,
      body: messageBody(header, [[RTA_DST, addrBytes(addr)]]),
    }),
  )
  // IPv6 answers with the route that refuses the packet, IPv4 with an error.
  const reply = replies?.find(({ type, data }) => type === RTM_NEWROUTE && !rejecting.has(data[7] ?? 0))
  const device = reply && readAttributes(reply.data, SIZEOF_RTMSG).get(RTA_OIF)
  return device && readIndex(device)
}
