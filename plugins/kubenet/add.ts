import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/log'
import type { Undo } from '../../src/host/undo'
import { readBandwidthConf } from '../bandwidth/config'
import { forgetFlows } from '../portmap/add'
import { ensureLocalnetRouting } from '../portmap/localnet'
import { portsOfCall, writeAttachment } from './attachment'
import { chooseBackend } from './backend'
import { type KubenetConf, readKubenetConf } from './config'
import { retireGateways, settleDedup } from './gateways'
import { bridgeConf, callOf, parts } from './parts'

/** Host ports over nftables: the ruleset, then the flows and the sysctl that portmap would see to. */
const setUpRuleset = async (call: Call, conf: KubenetConf, result: Result, undo: Undo): Promise<void> => {
  await writeAttachment(call, conf, result, undo)
  const ports = portsOfCall(call, result)
  if (ports.mappings.length === 0) return
  forgetFlows(ports)
  for (const { addr } of ports.addresses) if (addr.family === 4) ensureLocalnetRouting(addr, undo)
}

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readKubenetConf(call)
  const backend = chooseBackend(conf)
  const masquerade = backend === 'iptables'
  // What can't be is refused before anything is made.
  portsOfCall(call)
  readBandwidthConf(callOf(call, { type: 'bandwidth' }))
  endStep('backend')
  // The loopback interface of the container: a runtime that calls loopback itself finds it up.
  await parts.loopback.add(callOf(call, { type: 'loopback' }), undo)
  endStep('loopback')
  const connected = await parts.bridge.add(callOf(call, bridgeConf(conf, { masquerade })), undo)
  await retireGateways(call, conf)
  if (masquerade) await parts.portmap.add(callOf(call, { type: 'portmap', backend }, connected), undo)
  else await setUpRuleset(call, conf, connected, undo)
  settleDedup(conf)
  endStep('ruleset')
  return parts.bandwidth.add(callOf(call, { type: 'bandwidth' }, connected), undo)
}
