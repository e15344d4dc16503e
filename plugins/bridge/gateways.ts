import { parseAlias } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Result } from '../../src/cni/result'
import { warn } from '../../src/host/log'
import { disableIPv6Key, trySysctl } from '../../src/host/sysctl'
import { isFrom } from '../../src/host/system-error'
import type { Undo } from '../../src/host/undo'
import { addrEquals, type Family, isLinkLocal } from '../../src/ip/addr'
import {
  type Cidr,
  cidrContains,
  cidrEquals,
  cidrOverlaps,
  everywhere,
  firstHost,
  formatCidr,
} from '../../src/ip/cidr'
import { addrAdd, addrDel, addrList, peerAddrs } from '../../src/netlink/addr'
import { type Link, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { BridgeConf } from './config'
import { isGatewayPort } from './veth'

/**
 * Completes an IPAM result as the reference does: every address is the container's, its gateway is the first
 * address of its subnet where the IPAM plugin named none, and with isDefaultGateway each family gets one default
 * route, over its first gateway. Answers the addresses the bridge must have.
 */
export const completeGateways = (result: Result, conf: BridgeConf, containerIndex: number): Cidr[] => {
  const gateways: Cidr[] = []
  const routed = new Set<Family>()
  for (const ip of result.ips) {
    ip.interface = containerIndex
    if (!conf.isGateway) continue
    ip.gateway ??= firstHost(ip.address)
    const gateway = { addr: ip.gateway, prefix: ip.address.prefix }
    if (!gateways.some(other => cidrEquals(other, gateway))) gateways.push(gateway)
    const { family } = ip.address.addr
    if (!conf.isDefaultGateway || routed.has(family)) continue
    routed.add(family)
    const dst = everywhere(family)
    const given = result.routes.filter(route => cidrEquals(route.dst, dst))
    if (given.length === 0) result.routes.push({ dst, gw: ip.gateway })
    // One without a gateway goes over this very one: a second route would be the same.
    else if (!given.some(route => route.gw)) for (const route of given) route.gw = ip.gateway
  }
  return gateways
}

/** The steps for an interface to have its gateway addresses. */
export type GatewayPlan = { readonly missing: readonly Cidr[]; readonly replaced: readonly Cidr[] }

/** Another address of the interface is in the way: each of IPv4, and of IPv6 one whose subnet overlaps. */
const inTheWay = (found: Cidr, wanted: Cidr): boolean => {
  if (found.addr.family !== wanted.addr.family) return false
  // The kernel's own fe80::/64 address is on every interface.
  return wanted.addr.family === 4 || (!isLinkLocal(found.addr) && cidrOverlaps(found, wanted))
}

/** Where gateway addresses go, and whose they are. */
type GatewayPlace = {
  /** The bridge, or its interface in a VLAN; undefined is one that is yet to be made. */
  readonly link: Link | undefined
  readonly bridge: Link | undefined
  /** The port of the container they are for. */
  readonly port: Link | undefined
}

/** The addresses of an interface that are in the way of a gateway it is to have. */
const conflictsOf = (nl: NetlinkSocket, link: Link, gateways: readonly Cidr[]) => {
  const found = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
  const isFound = (gateway: Cidr) => found.some(cidr => cidrEquals(cidr, gateway))
  const others = found.filter(cidr => !gateways.some(gateway => cidrEquals(cidr, gateway)))
  const conflicts = gateways.flatMap(wanted =>
    others.filter(other => inTheWay(other, wanted)).map(other => ({ found: other, wanted })),
  )
  return { missing: gateways.filter(gateway => !isFound(gateway)), conflicts }
}

/**
 * Compares an interface's addresses with the gateways it is to have, and changes nothing. Throws if there is another
 * address in the way that may neither stay nor be replaced.
 */
export const planGateways = (
  nl: NetlinkSocket,
  place: GatewayPlace,
  gateways: readonly Cidr[],
  conf: BridgeConf,
): GatewayPlan => {
  const { link } = place
  if (!link || gateways.length === 0) return { missing: gateways, replaced: [] }
  const { missing, conflicts } = conflictsOf(nl, link, gateways)
  const urgent = conflicts.filter(({ wanted }) => missing.includes(wanted))
  const [first] = urgent
  if (first && !conf.keepAddresses && !conf.forceAddress)
    throw otherAddress(link, first, otherPorts(nl, place), conf)
  // Where the subnet was another before, a container may have what is the gateway's now.
  if (first && conf.vlan === 0) refuseTaken(nl, place, missing)
  if (conf.keepAddresses === 'while-used') {
    return planWhileUsed(nl, { ...place, link }, { missing, conflicts })
  }
  if (!first || conf.keepAddresses) return { missing, replaced: [] }
  for (const address of foundOf(urgent)) {
    const users = usersOf(nl, address, place)
    if (users.length === 0) continue
    warn(`"${link.name}" loses ${formatCidr(address)}, the gateway of ${describePorts(users)}`)
  }
  return { missing, replaced: foundOf(urgent) }
}

/** Replaces addresses no container is left for, also those that were kept by earlier ADDs, and keeps the others. */
const planWhileUsed = (
  nl: NetlinkSocket,
  place: GatewayPlace & { link: Link },
  { missing, conflicts }: { missing: readonly Cidr[]; conflicts: readonly Conflict[] },
): GatewayPlan => {
  const replaced: Cidr[] = []
  for (const address of foundOf(conflicts)) {
    const users = usersOf(nl, address, place)
    if (users.length === 0) replaced.push(address)
    else if (missing.length > 0)
      warn(
        `"${place.link.name}" keeps ${formatCidr(address)} beside ${missing.map(formatCidr).join(', ')} ` +
          `while a container uses it: ${describePorts(users)}`,
      )
  }
  return { missing, replaced }
}

type Conflict = { readonly found: Cidr; readonly wanted: Cidr }

const foundOf = (conflicts: readonly Conflict[]): Cidr[] => [...new Set(conflicts.map(({ found }) => found))]

const addGateway = (nl: NetlinkSocket, link: Link, cidr: Cidr): void => {
  try {
    addrAdd(nl, link, cidr)
  } catch (error) {
    if (!isFrom(error, 'netlink', 'EACCES')) throw error
    const remedy = `sysctl -w ${disableIPv6Key(link.name).replaceAll('/', '.')}=0`
    throw new CniError(ErrorCode.internal, error.message, { details: `${error.details}; ${remedy}` })
  }
}

/** Carries a plan out. Only a replaced address comes back with `undo`: a new one may be in use by then. */
export const setUpGatewayAddresses = (nl: NetlinkSocket, link: Link, plan: GatewayPlan, undo: Undo): void => {
  for (const cidr of plan.replaced) {
    undo.add(`restore ${formatCidr(cidr)} on "${link.name}"`, () =>
      withNetlink(NETLINK_ROUTE, again => addrAdd(again, link, cidr)),
    )
    addrDel(nl, link, cidr)
  }
  for (const cidr of plan.missing) {
    if (plan.replaced.length > 0) {
      undo.add(`take ${formatCidr(cidr)} off "${link.name}"`, () =>
        withNetlink(NETLINK_ROUTE, again => addrDel(again, link, cidr)),
      )
    }
    addGateway(nl, link, cidr)
  }
  // The IPv6 routes of an interface that is a gateway are ours to make.
  if (plan.missing.length > 0) trySysctl(`net/ipv6/conf/${link.name}/accept_ra`, '0')
}

/** The bridge's ports but the one of the container that is being added, and those that a VLAN's gateway is behind. */
const otherPorts = (nl: NetlinkSocket, { bridge, port }: GatewayPlace): Link[] => {
  if (!bridge) return []
  return linkList(nl, bridge.index).filter(
    other => other.index !== port?.index && !isGatewayPort(other, bridge),
  )
}

/** The ports of containers that have an address of the subnet, and so perhaps this one as their gateway. */
const usersOf = (nl: NetlinkSocket, subnet: Cidr, place: GatewayPlace): Link[] =>
  otherPorts(nl, place).filter(port => {
    if (port.kind !== 'veth') return false
    const addresses = peerAddrs(nl, port)
    // Where nothing can be learned the container counts.
    return addresses?.some(({ addr }) => cidrContains(subnet, addr)) ?? true
  })

/** Throws if a container on the bridge has an address that the bridge is to get. */
const refuseTaken = (nl: NetlinkSocket, place: GatewayPlace, gateways: readonly Cidr[]): void => {
  for (const port of otherPorts(nl, place)) {
    if (port.kind !== 'veth') continue
    const addresses = peerAddrs(nl, port) ?? []
    const taken = gateways.find(gateway => addresses.some(({ addr }) => addrEquals(addr, gateway.addr)))
    if (!taken) continue
    const holder = parseAlias(port.alias)?.containerID ?? `the container behind "${port.name}"`
    throw new CniError(
      ErrorCode.tryAgainLater,
      `the gateway ${formatCidr(taken)} is an address of container ${holder}`,
      {
        details:
          'it got the address from another subnet; delete that container, or give the range another "gateway"',
      },
    )
  }
}

const portsNamed = 3

/** How many ports there are, with the containers of the first of them. */
const describePorts = (ports: readonly Link[]): string => {
  const containers = ports.flatMap(({ alias }) => parseAlias(alias)?.containerID ?? [])
  const named = containers.slice(0, portsNamed)
  const more = containers.length > named.length ? ', …' : ''
  return `${ports.length} port(s)${named.length > 0 ? ` (${named.join(', ')}${more})` : ''}`
}

const otherAddress = (
  link: Link,
  { found, wanted }: Conflict,
  ports: readonly Link[],
  conf: BridgeConf,
): CniError => {
  const doing = conf.vlan === 0 ? 'set bridge addr' : 'set vlan interface for bridge with addr'
  return new CniError(
    ErrorCode.internal,
    `failed to ${doing}: "${link.name}" already has an IP address different from ${formatCidr(wanted)}`,
    {
      details:
        `it has ${formatCidr(found)} and ${describePorts(ports)}; set "forceAddress": true to replace it, ` +
        `"keepAddresses": "while-used" to keep it as long as a container needs it, ` +
        `or remove it once no container uses it: ip addr del ${formatCidr(found)} dev ${link.name}`,
    },
  )
}
