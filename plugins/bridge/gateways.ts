import { CniError, ErrorCode } from '../../src/cni/error'
import type { Result } from '../../src/cni/result'
import { readSysctl, writeSysctl } from '../../src/host/sysctl'
import type { Undo } from '../../src/host/undo'
import type { Family } from '../../src/ip/addr'
import { type Cidr, cidrContains, cidrEquals, everywhere, firstHost, formatCidr } from '../../src/ip/cidr'
import { addrAdd, addrDel, addrList } from '../../src/netlink/addr'
import { type Link, linkByIndex, linkList } from '../../src/netlink/link'
import { RTPROT_RA, routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { BridgeConf } from './config'

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
    const given = result.routes.some(route => route.gw && cidrEquals(route.dst, dst))
    if (!given) result.routes.push({ dst, gw: ip.gateway })
  }
  return gateways
}

const inTheWay = (found: Cidr, wanted: Cidr): boolean =>
  wanted.addr.family === 4 || cidrContains(found, wanted.addr) || cidrContains(wanted, found.addr)

/** Gives an interface one gateway address. Says whether it was missing. */
export const ensureGateway = (
  nl: NetlinkSocket,
  link: Link,
  gateway: Cidr,
  options: { force: boolean; undo: Undo },
): boolean => {
  const found = addrList(nl, { index: link.index, family: gateway.addr.family }).map(({ cidr }) => cidr)
  if (found.some(cidr => cidrEquals(cidr, gateway))) return false
  for (const cidr of found.filter(other => inTheWay(other, gateway))) {
    if (!options.force) throw otherAddress(nl, link, cidr, gateway)
    addrDel(nl, link, cidr)
    options.undo.add(`give ${formatCidr(cidr)} back to "${link.name}"`, () =>
      withNetlink(NETLINK_ROUTE, again => addrAdd(again, link, cidr)),
    )
  }
  addrAdd(nl, link, gateway)
  return true
}

const otherAddress = (nl: NetlinkSocket, link: Link, found: Cidr, wanted: Cidr): CniError => {
  const ports = linkList(nl, link.index).length
  return new CniError(
    ErrorCode.internal,
    `failed to set bridge addr: "${link.name}" already has an IP address different from ${formatCidr(wanted)}`,
    {
      details:
        `it has ${formatCidr(found)} and ${ports} port(s); set "forceAddress": true to replace it, ` +
        `or remove it once no container uses it: ip addr del ${formatCidr(found)} dev ${link.name}`,
    },
  )
}

const forwardingKey = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const

/** Turns forwarding on for a family, if it is off. */
export const ensureForwarding = (nl: NetlinkSocket, family: Family): void => {
  const key = forwardingKey[family]
  const value = readSysctl(key)
  if (value === undefined || value === '1') return
  if (family === 6) keepAdvertisedRoutes(nl)
  writeSysctl(key, '1')
}

/**
 * A host that forwards ignores router advertisements unless accept_ra is 2, and would lose its default route when
 * the last advertised lifetime ends: Documentation/networking/ip-sysctl.rst, accept_ra.
 */
const keepAdvertisedRoutes = (nl: NetlinkSocket): void => {
  const advertised = new Set(
    routeList(nl, 6)
      .filter(({ protocol }) => protocol === RTPROT_RA)
      .map(({ index }) => index),
  )
  for (const index of advertised) {
    const link = linkByIndex(nl, index)
    const key = `net/ipv6/conf/${link?.name}/accept_ra`
    if (link && readSysctl(key) === '1') writeSysctl(key, '2')
  }
}
