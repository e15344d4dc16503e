import { platform } from '#platform'
import { delegate, delegateAdd } from '../../src/cni/delegate'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, requireNetns } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/log'
import type { Undo } from '../../src/host/undo'
import { addrBytes } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { formatMac, type Mac, macFromHash } from '../../src/ip/mac'
import {
  type Link,
  linkByIndex,
  linkSet,
  subscribeToLinks,
  waitUntilOperational,
} from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { type EnsuredBridge, ensureBridge } from './bridge-link'
import { type BridgeConf, readBridgeConf, refuseContradictions } from './config'
import { ContainerEnd, setContainerSysctls } from './container'
import { completeGateways, ensureForwarding, ensureGateway } from './gateways'
import { setupMasquerade } from './masquerade'
import { attachVeth } from './veth'

/** The container's place among the result's interfaces: bridge, host veth, container. */
const containerIndex = 2

// The reference looks for two and a half seconds in all.
const portSeconds = 2.5

/**
 * A MAC that goes with the address, as kubenet's did: a container that gets a used address again has the MAC that
 * its neighbours' caches still hold for it.
 */
const macForAddress = (addresses: readonly Cidr[]): Mac | undefined => {
  const first = addresses[0]?.addr
  if (!first) return undefined
  if (first.family === 4) return formatMac(Buffer.concat([Buffer.from('0a58', 'hex'), addrBytes(first)]))
  return macFromHash(platform.sha512Hex(addrBytes(first).toString('hex')))
}

const runIpam = async (call: Call, conf: BridgeConf, undo: Undo): Promise<Result> => {
  if (!conf.ipamType) return { interfaces: [], ips: [], routes: [], dns: {} }
  const type = conf.ipamType
  const result = await delegateAdd(call, type)
  undo.add('give the addresses back', () => delegate(call, type, 'DEL'))
  if (result.ips.length === 0)
    throw new CniError(ErrorCode.internal, 'IPAM plugin returned missing IP config')
  return result
}

const macsOf = (call: Call, conf: BridgeConf): { host: Mac; container: Mac } => {
  const { containerID, ifName } = call.env
  const hash = platform.sha512Hex(`${containerID}\n${ifName}`)
  // A bridge takes over the lowest MAC of its ports where it has none of its own, so theirs must differ.
  return { host: macFromHash(hash.slice(12)), container: conf.mac ?? macFromHash(hash) }
}

/** Gives the container's end of the pair what the IPAM plugin answered, and brings it up. */
const setUpContainer = (container: ContainerEnd, conf: BridgeConf, ipam: Result): void => {
  if (!conf.ipamType) {
    if (conf.containerInterfaceUp) container.setUp(undefined)
    return
  }
  const mac = conf.mac === undefined ? macForAddress(ipam.ips.map(({ address }) => address)) : undefined
  container.configure(ipam, { mac, dad: conf.dad })
}

type HostSockets = { readonly nl: NetlinkSocket; readonly events: NetlinkSocket }

/** Gives the bridge the containers' gateways and turns forwarding on. Says whether the bridge lacked one. */
const setUpGateways = (
  { nl }: HostSockets,
  bridge: Link,
  gateways: readonly Cidr[],
  options: { force: boolean; undo: Undo },
): boolean => {
  let added = false
  for (const gateway of gateways) {
    added = ensureGateway(nl, bridge, gateway, options) || added
    ensureForwarding(nl, gateway.addr.family)
  }
  return added
}

/** Waits for both ends to carry traffic; throws if they don't in time. */
const waitForPort = ({ nl, events }: HostSockets, host: Link, container: ContainerEnd): void => {
  if (container.waitUntilOperational() && waitUntilOperational(nl, events, host.index, portSeconds)) return
  throw new CniError(ErrorCode.internal, `bridge port in error state: "${host.name}" is not up`, {
    details: `waited ${portSeconds} s for it and for the interface in netns "${container.path}"`,
  })
}

/**
 * Pins the bridge to the MAC it had before its new port came: one that was made without a MAC of its own takes the
 * lowest of its ports', and the neighbours would lose their gateway whenever ports come and go.
 */
const pinBridgeMac = ({ nl }: HostSockets, { link }: EnsuredBridge, addressAdded: boolean): void => {
  const now = linkByIndex(nl, link.index)
  if (!now) throw new CniError(ErrorCode.internal, `bridge "${link.name}" was deleted while a port was added`)
  if (addressAdded || now.mac !== link.mac) linkSet(nl, link, { mac: link.mac })
}

const attach = (call: Call, conf: BridgeConf, nl: NetlinkSocket, bridge: EnsuredBridge, undo: Undo): Link => {
  const { containerID, ifName } = call.env
  const macs = macsOf(call, conf)
  return attachVeth(
    nl,
    {
      id: { network: conf.network, containerID, ifName },
      netns: requireNetns(call),
      bridge: bridge.link,
      mtu: bridge.portMtu,
      hostMac: macs.host,
      containerMac: macs.container,
      hairpin: conf.hairpin,
      isolated: conf.portIsolation,
    },
    undo,
  )
}

const openContainer = (call: Call, conf: BridgeConf, ipam: Result): ContainerEnd => {
  const { ifName } = call.env
  const v6 = ipam.ips.some(({ address }) => address.addr.family === 6)
  return ContainerEnd.open(requireNetns(call), ifName, () => {
    if (conf.ipamType) setContainerSysctls(ifName, { v6, dad: conf.dad })
  })
}

const connect = async (call: Call, conf: BridgeConf, sockets: HostSockets, undo: Undo): Promise<Result> => {
  const bridge = ensureBridge(sockets.nl, conf)
  endStep('bridge')
  const host = attach(call, conf, sockets.nl, bridge, undo)
  endStep('veth')
  const ipam = await runIpam(call, conf, undo)
  endStep('ipam')
  const gateways = completeGateways(ipam, conf, containerIndex)
  const container = openContainer(call, conf, ipam)
  try {
    setUpContainer(container, conf, ipam)
    endStep('container')
    const addressAdded = setUpGateways(sockets, bridge.link, gateways, { force: conf.forceAddress, undo })
    pinBridgeMac(sockets, bridge, addressAdded)
    endStep('gateway')
    await setupMasquerade(call, conf, ipam, undo)
    endStep('masquerade')
    if (conf.containerInterfaceUp) waitForPort(sockets, host, container)
    endStep('port')
    const inside = container.reread() ?? container.link
    const { name, mac } = bridge.link
    return {
      interfaces: [
        { name, mac, mtu: bridge.portMtu },
        { name: host.name, mac: host.mac, mtu: host.mtu },
        { name: inside.name, mac: inside.mac, mtu: inside.mtu, sandbox: call.env.netns },
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
  refuseContradictions(conf)
  requireNetns(call)
  endStep('config')
  const sockets = { nl: NetlinkSocket.open(NETLINK_ROUTE), events: NetlinkSocket.open(NETLINK_ROUTE) }
  try {
    subscribeToLinks(sockets.events)
    endStep('sockets')
    return await connect(call, conf, sockets, undo)
  } finally {
    sockets.nl.close()
    sockets.events.close()
  }
}
