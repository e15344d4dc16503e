import { CniError, ErrorCode } from '../../src/cni/error'
import type { Result } from '../../src/cni/result'
import { trySysctl } from '../../src/host/sysctl'
import type { Undo } from '../../src/host/undo'
import { type Family, isLinkLocal } from '../../src/ip/addr'
import { type Cidr, cidrEquals, cidrOverlaps, everywhere, firstHost, formatCidr } from '../../src/ip/cidr'
import { addrAdd, addrDel, addrList } from '../../src/netlink/addr'
import { type Link, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { BridgeConf } from './config'
import { halfMadeGroup } from './veth'

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

/** What has to happen for an interface to have its gateway addresses. */
export type GatewayPlan = { readonly missing: readonly Cidr[]; readonly replaced: readonly Cidr[] }

/** Another address of the interface is in the way: any of IPv4, and of IPv6 one whose subnet overlaps. */
const inTheWay = (found: Cidr, wanted: Cidr): boolean => {
  if (found.addr.family !== wanted.addr.family) return false
  // The kernel's own fe80::/64 address is on every interface.
  return wanted.addr.family === 4 || (!isLinkLocal(found.addr) && cidrOverlaps(found, wanted))
}

/**
 * Compares an interface's addresses with the gateways it is to have, and changes nothing; undefined is an interface
 * that is yet to be made. Throws if there is another address in the way and it may not be replaced.
 */
export const planGateways = (
  nl: NetlinkSocket,
  link: Link | undefined,
  gateways: readonly Cidr[],
  conf: BridgeConf,
): GatewayPlan => {
  if (!link || gateways.length === 0) return { missing: gateways, replaced: [] }
  const found = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
  const missing = gateways.filter(gateway => !found.some(cidr => cidrEquals(cidr, gateway)))
  const others = found.filter(cidr => !gateways.some(gateway => cidrEquals(cidr, gateway)))
  if (conf.keepAddresses) return { missing, replaced: [] }
  const replaced = new Set<Cidr>()
  for (const gateway of missing) {
    for (const cidr of others.filter(other => inTheWay(other, gateway))) {
      if (!conf.forceAddress) throw otherAddress(nl, link, { found: cidr, wanted: gateway }, conf)
      replaced.add(cidr)
    }
  }
  return { missing, replaced: [...replaced] }
}

/** Carries a plan out. Only a replaced address comes back with `undo`: a new one may be in use by then. */
export const applyGateways = (nl: NetlinkSocket, link: Link, plan: GatewayPlan, undo: Undo): void => {
  for (const cidr of plan.replaced) {
    undo.add(`give ${formatCidr(cidr)} back to "${link.name}"`, () =>
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
    addrAdd(nl, link, cidr)
  }
  // The IPv6 routes of an interface that is a gateway are ours to make.
  if (plan.missing.length > 0) trySysctl(`net/ipv6/conf/${link.name}/accept_ra`, '0')
}

const otherAddress = (
  nl: NetlinkSocket,
  link: Link,
  { found, wanted }: { found: Cidr; wanted: Cidr },
  conf: BridgeConf,
): CniError => {
  const doing = conf.vlan === 0 ? 'set bridge addr' : 'set vlan interface for bridge with addr'
  // The port of the container that is being added does not count.
  const others = linkList(nl, link.index).filter(({ group }) => group !== halfMadeGroup)
  const ports = conf.vlan === 0 ? ` and ${others.length} port(s)` : ''
  return new CniError(
    ErrorCode.internal,
    `failed to ${doing}: "${link.name}" already has an IP address different from ${formatCidr(wanted)}`,
    {
      details:
        `it has ${formatCidr(found)}${ports}; set "forceAddress": true to replace it, ` +
        `or remove it once no container uses it: ip addr del ${formatCidr(found)} dev ${link.name}`,
    },
  )
}
