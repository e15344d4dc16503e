import type { Attachment } from '../../src/attachment/attachment'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, requireNetns } from '../../src/cni/plugin'
import type { Interface, Result } from '../../src/cni/result'
import { throwIfInterrupted } from '../../src/host/interrupt'
import { endStep } from '../../src/host/steps'
import type { Undo } from '../../src/host/undo'
import { type Cidr, networkOf } from '../../src/ip/cidr'
import { EventSocket } from '../../src/netlink/event-socket'
import { type Link, linkByName } from '../../src/netlink/link'
import { RTNLGRP_LINK, waitUntilOperational } from '../../src/netlink/link-events'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import {
  keepBridgeMac,
  type ReadyBridge,
  setUpBridge,
  setUpLinkLocal,
  takeDownUnusedBridge,
  withBridgeLock,
} from './bridge'
import { type BridgeConf, readBridgeConf } from './config'
import { ContainerEnd, operationalSeconds, setContainerSysctls, setIPv6 } from './container'
import { completeGateways, type GatewayPlan, planGateways, setUpGatewayAddresses } from './gateways'
import { ipamCall, runIpam } from './ipam-call'
import { setUpMasquerade } from './masquerade'
import { refuseForeignGateways, refuseForIPv6, refuseUnusable } from './refusals'
import { setUpBridgeNetfilter, setUpForwarding } from './sysctls'
import { macForAddresses, macsOf, markVethReady, setUpVeth } from './veth'
import { setUpPortVlans, setUpUplinkVlans } from './vlan'
import { setUpVlanInterface, vlanInterfaceName } from './vlan-gateway'

/** The container's place among the result's interfaces: bridge, host veth, container. */
const containerIndex = 2

/** One ADD under way: what it goes by, and its sockets on the host. */
type Adding = {
  readonly call: Call
  readonly conf: BridgeConf
  readonly nl: NetlinkSocket
  readonly events: EventSocket
  readonly undo: Undo
}

const idOf = ({ call, conf: { network } }: Adding): Attachment => {
  const { containerID, ifName } = call.env
  return { network, containerID, ifName }
}

const attach = (adding: Adding, bridge: ReadyBridge): Link => {
  const { call, conf, nl, undo } = adding
  const macs = macsOf(call.env, conf)
  const request = {
    id: idOf(adding),
    netns: requireNetns(call),
    bridge: bridge.link,
    mtu: bridge.portMtu,
    hostMac: macs.host,
    containerMac: macs.container,
    namePrefix: conf.vethPrefix,
    hairpin: conf.hairpin,
    isolated: conf.portIsolation,
  }
  const host = setUpVeth(nl, request, undo)
  setUpPortVlans(nl, host, conf)
  setUpUplinkVlans(nl, bridge.link, conf)
  return host
}

/** The bridge and the host's end of the veth that is its port. */
type Joined = { readonly bridge: ReadyBridge; readonly host: Link }

/** Makes the bridge, if need be, and the veth pair. */
const join = async (adding: Adding): Promise<Joined> => {
  const { conf, nl } = adding
  const joinNow = () => {
    const bridge = setUpBridge(nl, conf)
    endStep('bridge')
    const host = attach(adding, bridge)
    endStep('veth')
    return { bridge, host }
  }
  if (!conf.prune) return joinNow()
  adding.undo.add('delete the bridge if it is of no use', () => takeDownUnusedBridge(conf))
  // No other call may take the bridge for unused between the two.
  return withBridgeLock(conf, joinNow)
}

/** The interface that is to have the gateways; in a VLAN it may be yet to be made. */
const gatewayLink = ({ nl, conf }: Adding, bridge: ReadyBridge): Link | undefined =>
  conf.vlan === 0 ? bridge.link : linkByName(nl, vlanInterfaceName(conf))

const askIpam = async (adding: Adding, { bridge, host }: Joined): Promise<Result> => {
  const { call, conf, nl, undo } = adding
  if (!conf.ipamType) return { interfaces: [], ips: [], routes: [], dns: {} }
  const type = conf.ipamType
  const asked = ipamCall(nl, { call, conf, link: gatewayLink(adding, bridge) })
  const result = await runIpam({ call, conf, id: idOf(adding), veth: host.name }, { type, asked }, undo)
  // The plugin may have taken longer than the runtime had patience for.
  throwIfInterrupted(`waiting for IPAM plugin "${type}"`)
  if (result.ips.length === 0)
    throw new CniError(ErrorCode.internal, 'IPAM plugin returned missing IP config')
  // The kernel takes off what a destination has behind its prefix only of IPv6, and refuses it of IPv4.
  return { ...result, routes: result.routes.map(route => ({ ...route, dst: networkOf(route.dst) })) }
}

const openContainer = ({ call, conf }: Adding, ipam: Result): ContainerEnd => {
  const { ifName } = call.env
  const v6 = ipam.ips.some(({ address }) => address.addr.family === 6)
  return ContainerEnd.open(requireNetns(call), ifName, () => {
    if (v6 || conf.ipv6 !== 'auto') setIPv6(ifName, conf.ipv6 !== 'off')
    if (conf.ipamType) setContainerSysctls(ifName, { v6, dad: conf.dad })
  })
}

/**
 * The MAC that goes with the addresses; undefined if the container keeps the one its interface was made with. host-local
 * never looks at the interface. Another IPAM plugin may, and goes on by what it saw: a DHCP server's leases are for a MAC.
 */
const macFor = ({ conf }: Adding, { ips }: Result) =>
  conf.mac || conf.ipamType !== 'host-local' ? undefined : macForAddresses(ips.map(({ address }) => address))

/** Has frames under another MAC than the container's dropped, before it can send any. */
const checkSpoofing = async (
  adding: Adding,
  host: Link,
  container: ContainerEnd,
  ipam: Result,
): Promise<void> => {
  if (!adding.conf.macSpoofCheck) return
  const { spoofCheckRules } = await import('../../src/netfilter/rules/spoof-check/nft.js')
  const { containerID, ifName } = adding.call.env
  const mac = macFor(adding, ipam) ?? container.link.mac
  await spoofCheckRules.setUp({ containerID, ifName, hostName: host.name, mac }, adding.undo)
}

/** Waits until both ends carry traffic. Answers the container's. */
const waitForTraffic = ({ nl, events }: Adding, host: Link, container: ContainerEnd): Link => {
  const inside = container.waitUntilOperational()
  if (inside && waitUntilOperational(nl, events, host.index, operationalSeconds)) return inside
  throw new CniError(ErrorCode.internal, `bridge port in error state: "${host.name}" is not up`, {
    details: `waited ${operationalSeconds} s for it and for the interface in netns "${container.path}"`,
  })
}

/** Gives the container's end of the pair what the IPAM plugin answered, and brings it up. */
const setUpContainer = (adding: Adding, host: Link, container: ContainerEnd, ipam: Result): void => {
  const { conf } = adding
  if (!conf.ipamType) {
    if (conf.containerInterfaceUp) container.setUp(undefined)
    return
  }
  const mac = macFor(adding, ipam)
  if (conf.dad) {
    // The kernel asks once who has an address. Before the port forwards, who has it would not hear that.
    container.setUp(mac)
    waitForTraffic(adding, host, container)
  }
  container.configure(ipam, { mac, dad: conf.dad })
}

/** Missing parts of the interface that is to have the gateways. */
const planFor = (adding: Adding, { bridge, host }: Joined, gateways: readonly Cidr[]): GatewayPlan =>
  planGateways(
    adding.nl,
    { link: gatewayLink(adding, bridge), bridge: bridge.link, port: host },
    gateways,
    adding.conf,
  )

/** Gives the bridge, or its interface in the VLAN, the gateways. Answers the latter, if there is one. */
const setUpGateways = (adding: Adding, bridge: ReadyBridge, plan: GatewayPlan): Link | undefined => {
  const { nl, conf, undo } = adding
  const mtu = bridge.portMtu
  const vlan = conf.vlan === 0 ? undefined : setUpVlanInterface(nl, { bridge: bridge.link, mtu }, conf)
  setUpGatewayAddresses(nl, vlan ?? bridge.link, plan, undo)
  return vlan
}

/** Waits until both ends carry traffic, and has the container's neighbours know its MAC. Answers its interface. */
const carryTraffic = (adding: Adding, host: Link, container: ContainerEnd): Link => {
  const { conf } = adding
  if (!conf.containerInterfaceUp) return container.reread()
  const inside = waitForTraffic(adding, host, container)
  if (!conf.ipamType) return inside
  if (conf.dad) container.settle()
  container.announce(inside)
  return inside
}

const describe = ({ name, mac, mtu }: Link): Interface => ({ name, mac, mtu })

const connect = async (adding: Adding): Promise<Result> => {
  const { call, conf, nl, undo } = adding
  const joined = await join(adding)
  const { bridge, host } = joined
  const ipam = await askIpam(adding, joined)
  endStep('ipam')
  if (ipam.ips.some(({ address }) => address.addr.family === 6)) refuseForIPv6(conf, bridge.portMtu)
  refuseForeignGateways(conf, ipam)
  const gateways = completeGateways(ipam, conf, containerIndex)
  const plan = planFor(adding, joined, gateways)
  const container = openContainer(adding, ipam)
  try {
    await checkSpoofing(adding, host, container, ipam)
    setUpContainer(adding, host, container, ipam)
    endStep('container')
    await setUpMasquerade(call, conf, ipam, undo)
    endStep('masquerade')
    const inside = carryTraffic(adding, host, container)
    endStep('port')
    // Last, because it stays when an ADD fails: other containers may have come to rely on it.
    const vlan = gateways.length > 0 ? setUpGateways(adding, bridge, plan) : undefined
    for (const family of new Set(gateways.map(({ addr }) => addr.family))) setUpForwarding(nl, family)
    const pin = plan.missing.length > 0 && !vlan
    const outside = keepBridgeMac(nl, bridge.link, { port: host, pin })
    if (!conf.containerInterfaceUp) setUpLinkLocal(nl, outside)
    markVethReady(nl, host)
    endStep('gateway')
    return {
      interfaces: [
        describe(outside),
        describe(host),
        { ...describe(inside), sandbox: call.env.netns },
        ...(vlan ? [describe(vlan)] : []),
      ],
      ips: ipam.ips,
      routes: ipam.routes,
      dns: conf.dns ?? ipam.dns,
    }
  } finally {
    container.close()
  }
}

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readBridgeConf(call)
  refuseUnusable(conf)
  requireNetns(call)
  setUpBridgeNetfilter(conf)
  endStep('config')
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  const events = EventSocket.open(NETLINK_ROUTE, [RTNLGRP_LINK])
  try {
    endStep('sockets')
    return await connect({ call, conf, nl, events, undo })
  } finally {
    nl.close()
    events.close()
  }
}
