/** Is the network as ADD made it, on the host and in the container? */
import { delegate } from '../../src/cni/delegate'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, prevResultOf, requireNetns } from '../../src/cni/plugin'
import type { Interface, IpConfig, Result } from '../../src/cni/result'
import { addrEquals, formatAddr } from '../../src/ip/addr'
import { cidrEquals, formatCidr, networkOf } from '../../src/ip/cidr'
import type { Mac } from '../../src/ip/mac'
import { addrList } from '../../src/netlink/addr'
import { bridgeVlanList } from '../../src/netlink/bridge-vlan'
import { IFF_UP, type Link, linkByName } from '../../src/netlink/link'
import { routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { hostEndOf } from '../../src/netns/host-veth'
import { insideNetns, type Netns } from '../../src/netns/netns'
import { type BridgeConf, readBridgeConf } from './config'
import { missingMasquerade } from './masquerade'
import { missingPortVlans } from './vlan'
import { vlanInterfaceName } from './vlan-gateway'

/** The failure that CHECK throws: the network is not as it was made. */
const broken = (message: string, details = '') => new CniError(ErrorCode.internal, message, { details })

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
const expectedOf = (
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
const sameMac = (expected: string | undefined, link: Link): boolean =>
  !expected || expected.toLowerCase() === link.mac

/** Checks the container's interface; `nl` must be in its namespace. Answers it. */
const checkContainer = (nl: NetlinkSocket, conf: BridgeConf, expected: Expected): Link => {
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

const checkBridge = (nl: NetlinkSocket, conf: BridgeConf, { bridge }: Expected): Link => {
  const link = linkByName(nl, bridge.name)
  if (!link) throw broken(`Interface name ${bridge.name} not found`)
  if (link.kind !== 'bridge') throw broken(`Interface ${bridge.name} does not have link type of bridge`)
  if (!sameMac(bridge.mac, link)) {
    throw broken(`Bridge interface ${link.name} Mac doesn't match: ${bridge.mac}`, `it is ${link.mac}`)
  }
  if (conf.promiscuous && link.promiscuity === 0) {
    throw broken(
      `Bridge interface ${link.name} configured Promisc Mode true doesn't match current state: false`,
    )
  }
  if (!(link.flags & IFF_UP)) throw broken(`bridge ${link.name} is down`)
  return link
}

/** The bridge's interface in the VLAN must have the gateways, or the bridge: there older references put them always. */
const checkGateways = (nl: NetlinkSocket, conf: BridgeConf, bridge: Link, { ips }: Expected): void => {
  if (!conf.isGateway) return
  const link = (conf.vlan !== 0 && linkByName(nl, vlanInterfaceName(conf))) || bridge
  const found = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
  for (const { gateway, address } of ips) {
    if (!gateway || found.some(({ addr }) => addrEquals(addr, gateway))) continue
    throw broken(
      `${link.name} lacks the gateway ${formatAddr(gateway)} of ${formatCidr(address)}`,
      `it has ${found.map(formatCidr).join(', ') || 'no address'}`,
    )
  }
}

/**
 * The host's end must be the container's peer and a port of the bridge. Its MAC is not compared: on pods that the
 * reference made, udev changes it behind everyone's back.
 */
const checkPort = (nl: NetlinkSocket, conf: BridgeConf, bridge: Link, host: Link | undefined): Link => {
  if (!host) {
    throw broken(`CNI veth created for bridge ${bridge.name} was not found`)
  }
  if (host.master !== bridge.index) {
    throw broken(
      `CNI veth created for bridge ${bridge.name} was not found: "${host.name}" is no port of it`,
      `put it back with: ip link set ${host.name} master ${bridge.name}`,
    )
  }
  if (conf.hairpin && !host.hairpin) throw broken(`bridge port ${host.name} is not in hairpin mode`)
  if (conf.portIsolation && !host.isolated) throw broken(`bridge port ${host.name} is not isolated`)
  const missing = missingPortVlans(conf.vlanFiltering ? bridgeVlanList(nl, host) : [], conf)
  if (missing.length > 0) throw broken(`bridge port ${host.name} is not in VLAN ${missing.join(', ')}`)
  return host
}

/**
 * Frames vanish where one of the three takes shorter ones than the next sends. The host's end has the MTU that ADD gave
 * it. The container's may have a smaller one: later plugins of a chain, such as tuning, set it and do not say so in
 * their result.
 */
const checkMtus = (
  conf: BridgeConf,
  links: { bridge: Link; host: Link; container: Link },
  { onHost }: Expected,
): void => {
  const { bridge, host, container } = links
  const configured = conf.mtu ?? onHost.find(({ name }) => name === host.name)?.mtu
  const isAsMade = configured === undefined || host.mtu === configured
  if (isAsMade && bridge.mtu >= host.mtu && container.mtu <= host.mtu) return
  throw broken(
    `the MTUs of ${container.name}, ${host.name} and ${bridge.name} do not match: ` +
      `${container.mtu}, ${host.mtu}, ${bridge.mtu}${configured === undefined ? '' : `, configured ${configured}`}`,
  )
}

type Ends = { readonly hostName: string; readonly mac: Mac }

/** Compares the interfaces of both namespaces with what they should be; answers the two ends of the pair. */
const checkLinks = (call: Call, netns: Netns, conf: BridgeConf, expected: Expected): Ends => {
  const { containerID, ifName } = call.env
  const id = { network: conf.network, containerID, ifName }
  const inside = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    return withNetlink(NETLINK_ROUTE, nl => {
      const bridge = checkBridge(nl, conf, expected)
      const container = checkContainer(inside, conf, expected)
      const host = checkPort(nl, conf, bridge, hostEndOf(nl, container, { id, netns }))
      checkMtus(conf, { bridge, host, container }, expected)
      checkGateways(nl, conf, bridge, expected)
      return { hostName: host.name, mac: container.mac }
    })
  } finally {
    inside.close()
  }
}

const checkRules = async (call: Call, conf: BridgeConf, expected: Expected, ends: Ends): Promise<void> => {
  const missing = await missingMasquerade(call, conf, expected)
  if (missing.length > 0) throw broken('masquerade rules are missing', missing.join('; '))
  if (!conf.macSpoofCheck) return
  const { spoofCheckRules } = await import('../../src/netfilter/rules/spoof-check/nft.js')
  const { containerID, ifName } = call.env
  const faults = await spoofCheckRules.missing({ containerID, ifName, ...ends })
  if (faults.length > 0)
    throw broken(`the MAC of "${ends.hostName}" is not checked correctly`, faults.join('; '))
}

export const check = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const netns = requireNetns(call)
  if (conf.ipamType) await delegate(call, conf.ipamType, 'CHECK')
  const result = prevResultOf(call)
  if (!result) throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  const expected = expectedOf(call.env, conf, result)
  await checkRules(call, conf, expected, checkLinks(call, netns, conf, expected))
}
