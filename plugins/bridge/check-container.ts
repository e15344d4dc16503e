/** The container's side of CHECK: the interface, its addresses and routes, as prevResult says. */
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Interface, IpConfig, Result } from '../../src/cni/result'
import { formatAddr } from '../../src/ip/addr'
import { cidrEquals, formatCidr, networkOf } from '../../src/ip/cidr'
import { addrList } from '../../src/netlink/addr'
import { IFF_UP, type Link, linkByName } from '../../src/netlink/link'
import { routeList } from '../../src/netlink/route'
import type { NetlinkSocket } from '../../src/netlink/socket'
import type { BridgeConf } from './config'

/** The failure that CHECK throws: the network is not as it was made. */
export const broken = (message: string, details = '') =>
  new CniError(ErrorCode.internal, message, { details })

/** This plugin's part of a prevResult; later plugins of the chain may have added to it. */
export type Expected = {
  readonly bridge: Interface
  readonly container: Interface
  /** All interfaces of the host, the container's port among them. */
  readonly onHost: readonly Interface[]
  readonly ips: readonly IpConfig[]
  readonly routes: Result['routes']
}

/** Is the interface the one of that name in the host's namespace, or in the container's? */
const isAt = ({ name, sandbox }: Interface, wanted: string, netns: string): boolean =>
  name === wanted && (sandbox ?? '') === netns

/** Picks out of a prevResult what is this plugin's. Throws if the bridge or the container's interface is missing. */
export const expectedOf = (
  { ifName, netns }: { ifName: string; netns: string },
  conf: BridgeConf,
  { interfaces, ips, routes }: Result,
): Expected => {
  const bridge = interfaces.find(entry => isAt(entry, conf.bridge, ''))
  if (!bridge) throw broken(`CNI created bridge ${conf.bridge} in host namespace was not found`)
  const container = interfaces.find(entry => isAt(entry, ifName, netns))
  if (!container) {
    const elsewhere = interfaces.find(({ name, sandbox }) => name === ifName && sandbox)
    throw broken(`Sandbox in prevResult ${elsewhere?.sandbox ?? ''} doesn't match configured netns: ${netns}`)
  }
  const index = interfaces.indexOf(container)
  const own = ips.filter(ip => ip.interface === undefined || ip.interface === index)
  return { bridge, container, onHost: interfaces.filter(({ sandbox }) => !sandbox), ips: own, routes }
}

/** Is it the MAC that the interface has? */
export const sameMac = (expected: string | undefined, link: Link): boolean =>
  !expected || expected.toLowerCase() === link.mac

/** Checks the container's interface; `nl` must be in its namespace. Answers it. */
export const checkContainer = (nl: NetlinkSocket, conf: BridgeConf, expected: Expected): Link => {
  const { container } = expected
  const link = linkByName(nl, container.name)
  if (!link) throw broken(`CNI created interface in container ${container.name} not found`)
  if (link.kind !== 'veth') throw broken(`Error: Container interface ${link.name} not of type veth`)
  if (!sameMac(container.mac, link)) {
    throw broken(`Interface ${link.name} Mac ${container.mac} doesn't match container Mac: ${link.mac}`)
  }
  if (conf.containerInterfaceUp && !(link.flags & IFF_UP)) throw broken(`Interface ${link.name} is down`)
  checkAddresses(nl, link, expected)
  checkRoutes(nl, expected)
  return link
}

const checkAddresses = (nl: NetlinkSocket, link: Link, { ips }: Expected): void => {
  const found = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
  for (const { address } of ips) {
    if (found.some(cidr => cidrEquals(cidr, address))) continue
    throw broken(
      `Failed to match addr ${formatCidr(address)} on interface ${link.name}`,
      `it has ${found.map(formatCidr).join(', ') || 'none'}`,
    )
  }
}

const checkRoutes = (nl: NetlinkSocket, { routes }: Expected): void => {
  for (const family of [4, 6] as const) {
    const wanted = routes.filter(({ dst }) => dst.addr.family === family)
    if (wanted.length === 0) continue
    const found = routeList(nl, family)
    for (const { dst, gw, priority, table } of wanted) {
      const matches = found.some(
        route =>
          cidrEquals(route.dst, networkOf(dst)) &&
          (!gw || (route.gw && formatAddr(route.gw) === formatAddr(gw))) &&
          (!priority || route.priority === priority) &&
          (!table || route.table === table),
      )
      if (!matches)
        throw broken(`Failed to find route ${formatCidr(dst)}${gw ? ` via ${formatAddr(gw)}` : ''}`)
    }
  }
}
