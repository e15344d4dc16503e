import { delegate } from '../../src/cni/delegate'
import { CniError, ErrorCode, saidBy } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { requirePrivilege } from '../../src/cni/privilege'
import { disableIPv6Key, obstacleTo, readSysctl } from '../../src/host/sysctl'
import { isFrom } from '../../src/host/system-error'
import { hasBridgeVlans } from '../../src/netlink/bridge-vlan'
import { linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { hasLinkKind } from '../../src/netlink/tc-probe'
import { probeBridgeMtu, withBridgeLock } from './bridge'
import { type BridgeConf, readBridgeConf } from './config'
import { ipamCall } from './ipam-call'
import { probeMasquerade } from './masquerade'
import { smallestIPv6Mtu } from './mtu'
import { refuseForIPv6, refuseUnusable } from './refusals'
import { forwardingKey, probeBridgeNetfilter } from './sysctls'
import { probeUplinks } from './vlan'
import { vlanInterfaceName } from './vlan-gateway'

/** Containers cannot be connected now: code 50. */
const notReady = (message: string, details: string) =>
  new CniError(ErrorCode.pluginNotAvailable, `bridge: ${message}`, { details })

/** The same, for whatever keeps a step of ADD from being done. */
const notReadyAs = (error: unknown): CniError => {
  const { message, details } = CniError.from(error)
  return notReady(message, details)
}

/** Waits for what a kind of rules says of this host. */
const probed = async (probe: Promise<void>): Promise<void> => {
  try {
    await probe
  } catch (error) {
    throw notReadyAs(error)
  }
}

/** The kinds of links an ADD makes, and those it finds in its place. */
const checkLinks = (nl: NetlinkSocket, conf: BridgeConf): void => {
  for (const kind of ['veth', 'bridge']) {
    if (hasLinkKind(nl, kind)) continue
    throw notReady(`this kernel has no links of kind ${kind}`, `load it with: modprobe ${kind}`)
  }
  if (conf.vlanFiltering && !hasBridgeVlans(nl))
    throw notReady(
      '"vlan" and "vlanTrunk": this kernel\'s bridges know no VLANs',
      'it was built without CONFIG_BRIDGE_VLAN_FILTERING; remove both keys',
    )
  const link = linkByName(nl, conf.bridge)
  if (!link) return
  if (link.kind !== 'bridge')
    throw notReady(
      `"${conf.bridge}" already exists but is not a bridge`,
      `it is a ${link.kind || 'host device'}`,
    )
  asNotReady(() => {
    probeBridgeMtu(nl, link, conf)
    probeUplinks(nl, link, conf)
  })
}

/** A configuration that ADD would refuse is a reason not to be ready. */
const asNotReady = <T>(work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw notReadyAs(error)
  }
}

const checkNetlink = (conf: BridgeConf): void => {
  try {
    withNetlink(NETLINK_ROUTE, nl => checkLinks(nl, conf))
  } catch (error) {
    if (!isFrom(error, 'netlink')) throw error
    throw notReady('netlink cannot be used', saidBy(error))
  }
}

const checkForwarding = (conf: BridgeConf): void => {
  if (!conf.isGateway) return
  if (readSysctl(forwardingKey[4]) === undefined)
    throw notReady('net.ipv4.ip_forward cannot be read', 'mount /proc')
  const keys = conf.expectsIPv6 ? [forwardingKey[4], forwardingKey[6]] : [forwardingKey[4]]
  for (const key of keys) {
    const obstacle = obstacleTo(key)
    if (obstacle === undefined) continue
    throw notReady(`${key.replaceAll('/', '.')} is ${readSysctl(key)} and cannot be set`, obstacle)
  }
}

/** The host's end of IPv6: the bridge, or its interface in a VLAN, must be able to have the gateway's address. */
const checkIPv6 = (conf: BridgeConf): void => {
  if (!conf.expectsIPv6) return
  refuseForIPv6(conf, conf.mtu ?? smallestIPv6Mtu)
  if (!conf.isGateway) return
  const name = conf.vlan === 0 ? conf.bridge : vlanInterfaceName(conf)
  const key = [name, 'default'].map(disableIPv6Key).find(one => readSysctl(one) !== undefined)
  if (key === undefined)
    throw notReady('this kernel has no IPv6', 'remove the IPv6 ranges, or start it without "ipv6.disable"')
  if (readSysctl(key) === '0') return
  const setting = key.replaceAll('/', '.')
  throw notReady(
    `"${name}" cannot have an IPv6 gateway: ${setting} is 1`,
    `sysctl -w ${setting}=0, or remove the IPv6 ranges`,
  )
}

const checkMacs = async (conf: BridgeConf): Promise<void> => {
  if (!conf.macSpoofCheck) return
  const { spoofCheckRules } = await import('../../src/netfilter/rules/spoof-check/nft.js')
  await probed(spoofCheckRules.probe())
}

/** With "prune" an ADD needs the lock of the bridge. */
const checkPrune = async (conf: BridgeConf): Promise<void> => {
  if (!conf.prune) return
  try {
    await withBridgeLock(conf, () => undefined)
  } catch (error) {
    throw notReady(`"prune": the lock of "${conf.bridge}" cannot be taken`, saidBy(error))
  }
}

/** Addresses of the bridge itself are not free. */
const callOfIpam = (call: Call, conf: BridgeConf): Call =>
  withNetlink(NETLINK_ROUTE, nl => ipamCall(nl, { call, conf, link: linkByName(nl, conf.bridge) }))

/** Can containers be connected now? Asks the IPAM plugin too; throws code 50 with the reason if not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  refuseUnusable(conf)
  await probed(probeMasquerade(conf))
  await checkMacs(conf)
  checkNetlink(conf)
  requirePrivilege('bridge')
  checkForwarding(conf)
  checkIPv6(conf)
  await checkPrune(conf)
  probeBridgeNetfilter(conf, ErrorCode.pluginNotAvailable)
  if (conf.ipamType) await delegate(callOfIpam(call, conf), conf.ipamType, 'STATUS')
}
