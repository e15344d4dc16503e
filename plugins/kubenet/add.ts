import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/log'
import type { Undo } from '../../src/host/undo'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import { forgetFlowsToOthers } from '../portmap/conntrack'
import { ensureLocalnetRouting } from '../portmap/localnet'
import { portsOfCall, writeAttachment } from './attachment'
import { chooseBackend } from './backend'
import { type KubenetConf, readKubenetConf } from './config'
import { ensureDedup } from './dedup'
import { bridgeConf, callOf, parts } from './parts'

/** Host ports over nftables: the ruleset, then the flows and the sysctl that portmap would see to. */
const setUpRuleset = async (call: Call, conf: KubenetConf, result: Result, undo: Undo): Promise<void> => {
  await writeAttachment(call, conf, result, undo)
  const { mappings, addresses } = portsOfCall(call, result)
  if (mappings.length === 0) return
  const udp = mappings.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort)
  for (const { addr } of addresses) {
    forgetFlowsToOthers(addr, udp)
    if (addr.family === 4) ensureLocalnetRouting(addr, undo)
  }
}

const dedup = (conf: KubenetConf, result: Result): void => {
  const mac = result.interfaces.find(({ name }) => name === conf.bridge)?.mac
  if (conf.hairpinMode !== 'promiscuous-bridge' || !mac) return
  withNetlink(NETLINK_NETFILTER, nl => ensureDedup(nl, conf.network, { mac, podCIDRs: conf.podCIDRs }))
}

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readKubenetConf(call)
  const backend = chooseBackend(conf)
  const masquerade = backend === 'iptables'
  endStep('backend')
  // The loopback interface of the container: a runtime that calls loopback itself finds it up.
  await parts.loopback.add(callOf(call, { type: 'loopback' }), undo)
  endStep('loopback')
  const connected = await parts.bridge.add(callOf(call, bridgeConf(conf, { masquerade })), undo)
  if (backend === 'nftables') {
    await setUpRuleset(call, conf, connected, undo)
    dedup(conf, connected)
  } else await parts.portmap.add(callOf(call, { type: 'portmap', backend }, connected), undo)
  endStep('ruleset')
  return parts.bandwidth.add(callOf(call, { type: 'bandwidth' }, connected), undo)
}
