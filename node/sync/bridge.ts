/** The bridge, its addresses, and an attachment's port: what "ip link" and others remove. */

import { setUpBridge } from '../../plugins/bridge/bridge'
import { type BridgeConf, readBridgeConf } from '../../plugins/bridge/config'
import { planGateways, setUpGatewayAddresses } from '../../plugins/bridge/gateways'
import { missingMasquerade, setUpMasquerade } from '../../plugins/bridge/masquerade'
import { forwardingKey, setUpForwarding } from '../../plugins/bridge/sysctls'
import { setUpPortVlans } from '../../plugins/bridge/vlan'
import { vlanInterfaceName } from '../../plugins/bridge/vlan-gateway'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { readSysctl } from '../../src/host/sysctl'
import { undoOnFailure } from '../../src/host/undo'
import { formatAddr } from '../../src/ip/addr'
import { type Cidr, formatCidr } from '../../src/ip/cidr'
import { bridgePortSet, IFF_PROMISC, IFF_UP, type Link, linkByName, linkSet } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { type Change, type Comparison, repair } from './change'

const compareBridge = (conf: BridgeConf): Change[] =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = linkByName(nl, conf.bridge)
    const lacks = [
      ...(link ? [] : ['make it']),
      ...(link && !(link.flags & IFF_UP) ? ['set it up'] : []),
      ...(link && conf.promiscuous && !(link.flags & IFF_PROMISC) ? ['make it promiscuous'] : []),
    ]
    if (lacks.length === 0) return []
    const apply = () => withNetlink(NETLINK_ROUTE, again => void setUpBridge(again, conf))
    return [{ what: 'bridge', text: `bridge "${conf.bridge}": ${lacks.join(', ')}`, apply }]
  })

const restorePort = (nl: NetlinkSocket, port: Link, conf: BridgeConf): void => {
  const bridge = linkByName(nl, conf.bridge)
  if (!bridge) return
  linkSet(nl, port, { master: bridge.index, up: true })
  bridgePortSet(nl, port, { hairpin: conf.hairpin, isolated: conf.portIsolation })
  setUpPortVlans(nl, port, conf)
}

const comparePort = (veth: string, conf: BridgeConf): Change[] =>
  withNetlink(NETLINK_ROUTE, nl => {
    const [port, bridge] = [linkByName(nl, veth), linkByName(nl, conf.bridge)]
    if (!port) return []
    const lacks = [
      ...(port.master === bridge?.index ? [] : [`make it a port of "${conf.bridge}"`]),
      ...(port.flags & IFF_UP ? [] : ['set it up']),
      ...(conf.hairpin && !port.hairpin ? ['set its hairpin mode'] : []),
      ...(conf.portIsolation && !port.isolated ? ['isolate it'] : []),
    ]
    if (lacks.length === 0) return []
    const apply = () => withNetlink(NETLINK_ROUTE, again => restorePort(again, port, conf))
    return [{ what: 'port', text: `"${veth}": ${lacks.join(', ')}`, apply }]
  })

const gatewaysOf = ({ ips }: Result): Cidr[] =>
  ips.flatMap(({ gateway, address }) => (gateway ? [{ addr: gateway, prefix: address.prefix }] : []))

const compareGateways = (conf: BridgeConf, result: Result, veth: string): Change[] => {
  if (!conf.isGateway) return []
  const name = conf.vlan === 0 ? conf.bridge : vlanInterfaceName(conf)
  const plan = (nl: NetlinkSocket) => {
    const [link, bridge, port] = [name, conf.bridge, veth].map(one => linkByName(nl, one))
    return planGateways(nl, { link, bridge, port }, gatewaysOf(result), conf)
  }
  const { missing } = withNetlink(NETLINK_ROUTE, plan)
  if (missing.length === 0) return []
  const apply = () =>
    undoOnFailure(async undo =>
      withNetlink(NETLINK_ROUTE, nl => {
        const link = linkByName(nl, name)
        if (link) setUpGatewayAddresses(nl, link, plan(nl), undo)
      }),
    )
  const text = `"${name}": add ${missing.map(formatCidr).join(', ')}`
  return [{ what: 'address', text, apply }]
}

const compareForwarding = (conf: BridgeConf, result: Result): Change[] => {
  if (!conf.isGateway) return []
  const families = new Set(gatewaysOf(result).map(({ addr }) => addr.family))
  return [...families]
    .filter(family => readSysctl(forwardingKey[family]) === '0')
    .map(family => ({
      what: 'forwarding',
      text: `${forwardingKey[family].replaceAll('/', '.')}: set it to 1`,
      apply: () => withNetlink(NETLINK_ROUTE, nl => setUpForwarding(nl, family)),
    }))
}

const compareMasquerade = async (call: Call, conf: BridgeConf, result: Result): Promise<Change[]> => {
  const missing = await missingMasquerade(call, conf, result)
  if (missing.length === 0) return []
  const text = `masquerade rules: add ${missing.length} (${missing[0]}${missing.length > 1 ? ', …' : ''})`
  const { hasMasquerade, loadDropInvalid, loadRemoval } = await import('../../plugins/bridge/masquerade.js')
  const { containerID, ifName } = call.env
  const id = { network: conf.network, containerID, ifName }
  const isPartial = await hasMasquerade(id)
  const apply = () => repair(isPartial, undo => setUpMasquerade(call, conf, result, undo))
  const takeBack = async () => {
    const known = result.ips.map(({ address }) => address)
    const own = known.map(({ addr }) => formatAddr(addr))
    const remove = await loadRemoval()
    await remove({ id, known, isDoomed: address => own.includes(address) })
    if (conf.masquerade?.dropInvalid) await (await loadDropInvalid()).takeDown(id)
  }
  return [{ what: 'rules', text, apply, takeBack }]
}

/** All that bridge made for an attachment; `veth` is the name of its host end, in hairpin mode if `hairpin` says so. */
export const bridgeComparisons = (
  call: Call,
  result: Result,
  { veth, hairpin = false }: { veth: string; hairpin?: boolean },
): Comparison[] => {
  const conf = readBridgeConf(call)
  return [
    () => compareBridge(conf),
    () => comparePort(veth, { ...conf, hairpin: conf.hairpin || hairpin }),
    () => compareGateways(conf, result, veth),
    () => compareForwarding(conf, result),
    () => compareMasquerade(call, conf, result),
  ]
}
