import { elementComment } from '../../src/attachment/nft-comments'
import { validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { ifNftables } from '../../src/netfilter/nft/socket'
import { readKubenetConf } from './config'
import { retireGateways } from './gateways'
import { bridgeConf, callOf, parts } from './parts'
import { eraseElements, listElements } from './state'

export const gc = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  const valid = new Set(validAttachments(call.conf).map(elementComment))
  let hasPortRules = true
  const collectPorts = () =>
    runAll([
      () =>
        ifNftables(nl => {
          for (const { set, element } of listElements(nl, conf.network)) {
            const { comment = '' } = element
            if (!valid.has(comment)) eraseElements(nl, [{ set, key: element.key }], comment)
          }
        }),
      () => parts.portmap.gc(callOf(call, { type: 'portmap' })),
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
    () => retireGateways(call, conf),
  ])
}
