import { delegate } from '../../src/cni/delegate'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, requireNetns } from '../../src/cni/plugin'
import { type Interface, parseResult, type Result } from '../../src/cni/result'
import { formatAddr } from '../../src/ip/addr'
import { cidrEquals, formatCidr, networkOf } from '../../src/ip/cidr'
import { addrList } from '../../src/netlink/addr'
import { IFF_UP, type Link, linkByIndex, linkByName } from '../../src/netlink/link'
import { routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { insideNetns } from '../../src/netns/netns'
import { type BridgeConf, readBridgeConf } from './config'
import { missingMasquerade } from './masquerade'

const broken = (message: string, details = '') => new CniError(ErrorCode.internal, message, { details })

/** The interfaces of a prevResult that are ours; later plugins of the chain may have added others. */
const ownInterfaces = (
  call: Call,
  conf: BridgeConf,
  result: Result,
): { bridge: Interface; container: Interface } => {
  const bridge = result.interfaces.find(({ name, sandbox }) => name === conf.bridge && !sandbox)
  if (!bridge) throw broken(`CNI created bridge ${conf.bridge} in host namespace was not found`)
  const { ifName, netns } = call.env
  const container = result.interfaces.find(({ name, sandbox }) => name === ifName && sandbox === netns)
  if (container) return { bridge, container }
  const elsewhere = result.interfaces.find(({ name, sandbox }) => name === ifName && sandbox)
  throw broken(`Sandbox in prevResult ${elsewhere?.sandbox ?? ''} doesn't match configured netns: ${netns}`)
}

const sameMac = (expected: string | undefined, link: Link): boolean =>
  !expected || expected.toLowerCase() === link.mac

const checkBridge = (nl: NetlinkSocket, conf: BridgeConf, expected: Interface, result: Result): Link => {
  const link = linkByName(nl, expected.name)
  if (!link) throw broken(`Interface name ${expected.name} not found`)
  if (link.kind !== 'bridge') throw broken(`Interface ${expected.name} does not have link type of bridge`)
  if (!sameMac(expected.mac, link)) {
    throw broken(`Bridge interface ${link.name} Mac doesn't match: ${expected.mac}`, `it is ${link.mac}`)
  }
  if (conf.promiscuous && link.promiscuity === 0) {
    throw broken(
      `Bridge interface ${link.name} configured Promisc Mode true doesn't match current state: false`,
    )
  }
  if (!conf.isGateway || conf.vlan !== 0) return link
  const found = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
  for (const { gateway, address } of result.ips) {
    if (!gateway || found.some(({ addr }) => formatAddr(addr) === formatAddr(gateway))) continue
    throw broken(
      `bridge ${link.name} lacks the gateway ${formatAddr(gateway)} of ${formatCidr(address)}`,
      `it has ${found.map(formatCidr).join(', ') || 'no address'}`,
    )
  }
  return link
}

const checkContainer = (nl: NetlinkSocket, conf: BridgeConf, expected: Interface, result: Result): Link => {
  const link = linkByName(nl, expected.name)
  if (!link) throw broken(`CNI created interface in container ${expected.name} not found`)
  if (link.kind !== 'veth') throw broken(`Error: Container interface ${link.name} not of type veth`)
  if (!sameMac(expected.mac, link)) {
    throw broken(`Interface ${link.name} Mac ${expected.mac} doesn't match container Mac: ${link.mac}`)
  }
  if (conf.containerInterfaceUp && !(link.flags & IFF_UP)) throw broken(`Interface ${link.name} is down`)
  checkAddresses(nl, link, result)
  checkRoutes(nl, result)
  return link
}

const checkAddresses = (nl: NetlinkSocket, link: Link, result: Result): void => {
  const found = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
  for (const { address } of result.ips) {
    if (found.some(cidr => cidrEquals(cidr, address))) continue
    throw broken(
      `Failed to match addr ${formatCidr(address)} on interface ${link.name}`,
      `it has ${found.map(formatCidr).join(', ') || 'none'}`,
    )
  }
}

const checkRoutes = (nl: NetlinkSocket, result: Result): void => {
  for (const family of [4, 6] as const) {
    const wanted = result.routes.filter(({ dst }) => dst.addr.family === family)
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

/**
 * The host's end must be the container's peer and a port of the bridge. Its MAC is not compared: on pods that the
 * reference made, udev changes it behind everyone's back.
 */
const checkPort = (nl: NetlinkSocket, conf: BridgeConf, bridge: Link, container: Link): void => {
  const host = linkByIndex(nl, container.peer)
  if (!host || host.peer !== container.index || host.kind !== 'veth') {
    throw broken(`CNI veth created for bridge ${bridge.name} was not found`)
  }
  if (host.master !== bridge.index) {
    throw broken(
      `CNI veth created for bridge ${bridge.name} was not found: "${host.name}" is no port of it`,
      `put it back with: ip link set ${host.name} master ${bridge.name}`,
    )
  }
  if (conf.hairpin && !host.hairpin) throw broken(`bridge port ${host.name} is not in hairpin mode`)
  const mtus = [container.mtu, host.mtu, ...(conf.mtu === undefined ? [] : [conf.mtu])]
  if (new Set(mtus).size > 1 || bridge.mtu < container.mtu) {
    throw broken(
      `the MTUs of ${container.name}, ${host.name} and ${bridge.name} do not match: ` +
        `${container.mtu}, ${host.mtu}, ${bridge.mtu}${conf.mtu === undefined ? '' : `, configured ${conf.mtu}`}`,
    )
  }
}

export const check = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const netns = requireNetns(call)
  if (conf.ipamType) await delegate(call, conf.ipamType, 'CHECK')
  if (call.conf.prevResult === undefined) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  }
  const result = parseResult(call.conf.prevResult, call.version, 'prevResult')
  const expected = ownInterfaces(call, conf, result)
  const inside = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    withNetlink(NETLINK_ROUTE, nl => {
      const bridge = checkBridge(nl, conf, expected.bridge, result)
      checkPort(nl, conf, bridge, checkContainer(inside, conf, expected.container, result))
    })
  } finally {
    inside.close()
  }
  const missing = await missingMasquerade(call, conf, result)
  if (missing.length > 0) throw broken('masquerade rules are missing', missing.join('; '))
}
