import { elementComment, isElementHashed } from '../../src/attachment/nft-comments'
import { validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { ifNftables } from '../../src/netfilter/nft/socket'
import type { Placed } from '../../src/netfilter/rules/pods/elements'
import { eraseElements, listElements } from '../../src/netfilter/rules/pods/nft'
import { podsSet } from '../../src/netfilter/rules/pods/nft-rules'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { whilePortsLocked } from '../portmap/claims'
import { listOwners } from '../portmap/owners'
import { readKubenetConf } from './config'
import { retireGateways } from './gateways'
import { bridgeConf, callOf, parts } from './parts'
import { passPortsOn, stopWaiting } from './shared-ports'

/** The comments that are certainly of this network's attachments: its pods are in sets of its own, its ports on record. */
const certainComments = (placed: readonly Placed[], network: string): Set<string> => {
  const sets = new Set([podsSet(network, 4).name, podsSet(network, 6).name])
  const pods = placed.filter(({ set }) => sets.has(set.name)).map(({ element }) => element.comment ?? '')
  const owners = listOwners().filter(owner => owner.network === network)
  return new Set([...pods, ...owners.map(elementComment)])
}

/** Removes the elements of attachments that are not valid; a long name that only begins like this one is another's. */
const collectElements = (nl: NetlinkSocket, network: string, valid: ReadonlySet<string>): void => {
  const placed = listElements(nl, network)
  const certain = certainComments(placed, network)
  for (const { set, element } of placed) {
    const { comment = '' } = element
    const isOurs = !isElementHashed(comment) || certain.has(comment)
    if (isOurs && !valid.has(comment)) eraseElements(nl, [{ set, key: element.key }], comment)
  }
}

export const gc = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  const valid = new Set(validAttachments(call.conf).map(elementComment))
  let hasPortRules = true
  const owners = listOwners()
  const collectPorts = () =>
    runAll([
      ...owners
        .filter(owner => owner.network === conf.network && !valid.has(elementComment(owner)))
        .map(owner => () => stopWaiting(owner)),
      () => ifNftables(nl => collectElements(nl, conf.network, valid)),
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
    () => retireGateways(call, conf),
  ])
}
