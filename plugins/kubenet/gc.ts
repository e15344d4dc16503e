import { elementComment } from '../../src/attachment/nft-comments'
import { validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { podRules } from '../../src/netfilter/rules/pods/nft'
import { whilePortsLocked } from '../portmap/claims'
import { listOwners } from '../portmap/records'
import { readKubenetConf } from './config'
import { collectGateways } from './gateways'
import { bridgeConf, callOf, parts } from './parts'
import { passPortsOn, stopWaiting } from './shared-ports'

export const gc = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  const { network } = conf
  const valid = validAttachments(call.conf)
  const comments = new Set(valid.map(elementComment))
  const recorded = () => listOwners().filter(owner => owner.network === network)
  let hasPortRules = true
  const owners = listOwners()
  const collectPorts = () =>
    runAll([
      ...owners
        .filter(owner => owner.network === network && !comments.has(elementComment(owner)))
        .map(owner => () => stopWaiting(owner)),
      () => podRules.collect({ network, valid, recorded }),
      () => parts.portmap.gc(callOf(call, { type: 'portmap' })),
      async () => {
        if (owners.some(({ waiting }) => waiting)) await whilePortsLocked(passPortsOn)
      },
    ])
  await runAll([
    async () => {
      await collectPorts()
      hasPortRules = false
    },
    () => parts.bandwidth.gc(callOf(call, { type: 'bandwidth' })),
    () => {
      const bridge = bridgeConf(conf, { masquerade: true })
      // An address to which a rule leads stays leased: it must not be another pod's.
      return parts.bridge.gc(callOf(call, hasPortRules ? { ...bridge, ipam: {} } : bridge))
    },
    async () => {
      await collectGateways(call, conf)
    },
  ])
}
