/**
 * The MTU of a network whose configuration leaves it open: the smallest of the host's interfaces that can carry pods'
 * traffic, of whatever kind they are. The uplink of a node that is itself a container is a veth.
 */
import { isLinkLocal, widthOf } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import type { LinkAddr } from '../../src/netlink/addr'
import { IFF_LOOPBACK, IFF_UP, type Link } from '../../src/netlink/link'
import { type ListedRoute, RT_TABLE_LOCAL, RT_TABLE_MAIN } from '../../src/netlink/route'

/** kubenet went no lower: every IPv4 host accepts a datagram of this length (RFC 791). */
const smallestMtu = 576

/** The smallest MTU of a link that carries IPv6 (RFC 8200). */
export const smallestIPv6Mtu = 1280

/** The kernel's MTU for Ethernet: <linux/if_ether.h>, ETH_DATA_LEN. */
export const kernelMtu = 1500

/** How to ask for what an interface has. Each question is a dump, so it is asked only where the answer matters. */
export type Reader = {
  readonly addresses: (link: Link) => readonly LinkAddr[]
  readonly routes: (link: Link) => readonly ListedRoute[]
}

/** <linux/rtnetlink.h>: an address or route of this scope, or a larger one, is not known beyond the link. */
const RT_SCOPE_LINK = 253

/** One end of a pair, whose other end is in a container as a rule. */
const isPair = ({ kind }: Link): boolean => kind === 'veth' || kind === 'netkit'

const isSingleHost = ({ addr, prefix }: Cidr): boolean => prefix === widthOf(addr.family)

/** The host's ends of the pairs of other plugins have the gateway's address, as a network of this one address. */
const isAddressOfNode = (link: Link, { cidr, scope }: LinkAddr): boolean =>
  scope < RT_SCOPE_LINK && !isLinkLocal(cidr.addr) && !(isPair(link) && isSingleHost(cidr))

/** ff00::/8 */
const isMulticast = ({ addr }: Cidr): boolean => addr.family === 6 && addr.bits >> 120n === 0xffn

/** A route to a single host that is on the link itself leads to a container. */
const leadsElsewhere = ({ dst, gw, table }: ListedRoute): boolean =>
  table !== RT_TABLE_LOCAL &&
  !isLinkLocal(dst.addr) &&
  !isMulticast(dst) &&
  (gw !== undefined || !isSingleHost(dst))

const carriesTraffic = (link: Link, read: Reader): boolean =>
  read.addresses(link).some(address => isAddressOfNode(link, address)) ||
  read.routes(link).some(leadsElsewhere)

/** Not loopback, an ifb, a port, the network's own bridge, or an interface that its gateway has in a VLAN. */
const isCandidate = ({ name, kind, flags, master }: Link, bridge: string): boolean =>
  (flags & IFF_UP) !== 0 &&
  (flags & IFF_LOOPBACK) === 0 &&
  master === 0 &&
  kind !== 'ifb' &&
  name !== bridge &&
  !(kind === 'veth' && name.startsWith(`${bridge}.`))

/**
 * The smallest MTU of the host's interfaces that are up and have an address of the node or a route to elsewhere, in
 * bytes; `otherwise` where there is no such interface. Ports of bridges count as their bridge, and the network's own
 * bridge does not count.
 */
export const minMtu = (
  links: readonly Link[],
  { bridge, otherwise }: { bridge: string; otherwise: number },
  read: Reader,
): number => {
  const candidates = links.filter(link => isCandidate(link, bridge)).sort((a, b) => a.mtu - b.mtu)
  // Whether they carry traffic or not, the answer is the same.
  if (candidates.every(({ mtu }) => mtu === otherwise)) return otherwise
  return candidates.find(link => carriesTraffic(link, read))?.mtu ?? otherwise
}

/** The smallest MTU of the interfaces that default routes lead over; undefined where there is no default route. */
export const defaultRouteMtu = (
  links: readonly Link[],
  routes: readonly ListedRoute[],
): number | undefined => {
  const over = new Set(
    routes.filter(({ dst, table }) => dst.prefix === 0 && table === RT_TABLE_MAIN).map(({ index }) => index),
  )
  const mtus = links.filter(({ index }) => over.has(index)).map(({ mtu }) => mtu)
  return mtus.length === 0 ? undefined : Math.min(...mtus)
}

/** An MTU taken from the host's interfaces, less what a tunnel needs, but no smaller than its packets may be. */
export const withinLimits = (mtu: number, { overhead, v6 }: { overhead: number; v6: boolean }): number =>
  Math.max(v6 ? smallestIPv6Mtu : smallestMtu, mtu - overhead)
