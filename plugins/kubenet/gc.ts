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
  await runAll([
    () => parts.bandwidth.gc(callOf(call, { type: 'bandwidth' })),
    () => parts.bridge.gc(callOf(call, bridgeConf(conf, { masquerade: true }))),
    () =>
      ifNftables(nl => {
        for (const { set, element } of listElements(nl, conf.network)) {
          const { comment = '' } = element
          if (!valid.has(comment)) eraseElements(nl, [{ set, key: element.key }], comment)
        }
      }),
    () => parts.portmap.gc(callOf(call, { type: 'portmap' })),
    () => retireGateways(call, conf),
  ])
}
