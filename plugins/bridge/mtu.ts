import { IFF_LOOPBACK, IFF_POINTOPOINT, IFF_UP, type Link } from '../../src/netlink/link'
import { type ListedRoute, RT_TABLE_MAIN } from '../../src/netlink/route'

/** Below this kubenet refused to go: every IPv4 host takes a datagram this long (RFC 791). */
export const leastMtu = 576

/** The kernel's MTU for Ethernet: <linux/if_ether.h>, ETH_DATA_LEN. */
export const kernelMtu = 1500

/** Is it a container's, or the loopback device? */
export const isInner = ({ kind, flags }: Link): boolean =>
  kind === 'veth' || kind === 'ifb' || (flags & IFF_LOOPBACK) !== 0

const isUplink = (link: Link, bridge: string): boolean =>
  !isInner(link) &&
  (link.flags & IFF_UP) !== 0 &&
  (link.flags & IFF_POINTOPOINT) === 0 &&
  link.name !== bridge

/**
 * The least MTU of the host's interfaces, so that a packet of a pod that leaves by any of them needs no cutting: of
 * those that are up, without loopback, point-to-point links, veths, ifbs, the bridge itself and its ports. Undefined
 * where there is no such interface.
 */
export const minMtu = (links: readonly Link[], bridge: string): number | undefined => {
  const bridgeIndex = links.find(({ name }) => name === bridge)?.index
  const uplinks = links.filter(
    link => isUplink(link, bridge) && (bridgeIndex === undefined || link.master !== bridgeIndex),
  )
  if (uplinks.length === 0) return undefined
  return Math.max(leastMtu, Math.min(...uplinks.map(({ mtu }) => mtu)))
}

/** The least MTU of the interfaces that default routes lead over; undefined where there is no default route. */
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
