import { accessSync, constants } from 'node:fs'
import { delegate } from '../../src/cni/delegate'
import { ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { readSysctl } from '../../src/host/sysctl'
import { linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { requireBridgeNetfilter } from './bridge-netfilter'
import { type BridgeConf, readBridgeConf } from './config'
import { forwardingKey } from './forwarding'
import { ipamCall } from './ipam-call'
import { probeMasquerade } from './masquerade'
import { notReady, saidBy } from './not-ready'
import { refuseUnusable } from './refusals'

const checkLink = (conf: BridgeConf): void => {
  let link: ReturnType<typeof linkByName>
  try {
    link = withNetlink(NETLINK_ROUTE, nl => linkByName(nl, conf.bridge))
  } catch (error) {
    throw notReady('netlink can not be used', saidBy(error))
  }
  if (!link || link.kind === 'bridge') return
  throw notReady(
    `"${conf.bridge}" already exists but is not a bridge`,
    `it is a ${link.kind || 'host device'}`,
  )
}

const checkForwarding = (conf: BridgeConf): void => {
  if (!conf.isGateway) return
  const key = forwardingKey[4]
  const value = readSysctl(key)
  if (value === '1') return
  if (value === undefined) throw notReady('net.ipv4.ip_forward can not be read', 'mount /proc')
  try {
    accessSync(`/proc/sys/${key}`, constants.W_OK)
  } catch (error) {
    throw notReady(`net.ipv4.ip_forward is ${value} and can not be set`, saidBy(error))
  }
}

const checkSpoofCheck = async (conf: BridgeConf): Promise<void> => {
  if (conf.macSpoofCheck) (await import('./nftables.js')).probeNftables()
}

/** What the bridge has itself is not free. */
const callOfIpam = (call: Call, conf: BridgeConf): Call =>
  withNetlink(NETLINK_ROUTE, nl => ipamCall(nl, { call, conf, link: linkByName(nl, conf.bridge) }))

/** Can containers be connected now? Asks the IPAM plugin too; throws code 50 with the reason if not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  refuseUnusable(conf)
  await probeMasquerade(conf)
  await checkSpoofCheck(conf)
  checkLink(conf)
  checkForwarding(conf)
  requireBridgeNetfilter(conf, ErrorCode.pluginNotAvailable)
  if (conf.ipamType) await delegate(callOfIpam(call, conf), conf.ipamType, 'STATUS')
}
