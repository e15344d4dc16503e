/** One attachment's share of the ruleset: its addresses and its host ports, with nftables. */

import type { Attachment } from '../../src/attachment/attachment'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { Undo } from '../../src/host/undo'
import type { Backend } from '../../src/netfilter/backend'
import { commentOfElement, podRules } from '../../src/netfilter/rules/pods/nft'
import type { GoingPod, NewPod, Placed, Pod } from '../../src/netfilter/rules/pods/pods'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import { ownerOf, setUpClaims, takeDownClaims, whilePortsLocked } from '../portmap/claims'
import { type PortmapConf, readPortmapConf, withResult } from '../portmap/config'
import { takeDownFlowsOf } from '../portmap/conntrack'
import type { PortOwner } from '../portmap/records'
import { takeDownDead as takeDownPortmap } from '../portmap/rules'
import type { KubenetConf } from './config'
import { callOf } from './parts'
import { noteWaiting, passPortsOn, siblingComments, stopWaiting } from './shared-ports'

/** The attachment that a call is about. */
export const ownerOfCall = (call: Call, conf: KubenetConf): Attachment => ({
  network: conf.network,
  containerID: call.env.containerID,
  ifName: call.env.ifName,
})

/** The port mappings of a call, as portmap reads them. */
export const portsOfCall = (call: Call, backend: Backend): PortmapConf =>
  readPortmapConf(callOf(call, { type: 'portmap', backend }))

/** A pod, with all of its ports' configuration. */
export type KubenetPod = Pod & { readonly ports: PortmapConf }

/** What of an attachment belongs into the ruleset: `result` has its addresses, to which the ports of the call lead. */
export const podOf = (call: Call, conf: KubenetConf, result: Result, ports: PortmapConf): KubenetPod => ({
  net: conf,
  id: ownerOfCall(call, conf),
  addresses: result.ips.map(({ address }) => address.addr),
  ports: withResult(ports, result),
})

/**
 * What is known of a pod that is to go, which waits for no port from then on. Where its ports are not recorded all is looked
 * through.
 */
const goingOf = async ({ id, ports: { mappings, addresses } }: Pod): Promise<GoingPod> => {
  const record = ownerOf(id)
  await stopWaiting(record)
  const known = record || mappings.length === 0 ? addresses.map(({ addr }) => addr) : []
  return { id, addresses: known, claims: record?.claims ?? [] }
}

/** Takes an attachment that is gone out of the ruleset, and gives its host ports back. */
export const takeDownPod = async (pod: Pod): Promise<void> => {
  const going = await goingOf(pod)
  await runAll([
    async () => {
      await podRules.takeDown(going)
    },
    () => takeDownClaims(pod.id, { passOn: passPortsOn }),
  ])
}

/** Removes what is left of a dead owner of a port, whichever plugin opened it. */
const takeDownDead = (owner: PortOwner): Promise<void> =>
  runAll([
    async () => {
      await podRules.takeDown({ id: owner, addresses: [], claims: owner.claims })
    },
    // Only portmap notes what rules it made.
    () => (owner.rules ? takeDownPortmap(owner) : takeDownFlowsOf(owner)),
  ])

/** Puts an attachment into the ruleset: one batch for its addresses, its ports, and the shared rules if those are missing. */
export const setUpPod = async (call: Call, pod: KubenetPod, undo: Undo): Promise<void> => {
  const { ports } = pod
  let hadPorts = false
  // Those of an ADD before are the pod's, which may run.
  undo.add('free the host ports', () =>
    hadPorts ? undefined : takeDownClaims(pod.id, { passOn: passPortsOn }),
  )
  if (ports.mappings.length > 0) {
    const { checkListeners } = await import('../portmap/listeners.js')
    checkListeners(ports, call)
    const { earlier } = await setUpClaims(call, ports, { takeDownDead })
    hadPorts = earlier !== undefined
  }
  const settle: NewPod['settle'] = async replace => {
    if (ports.mappings.length === 0 || siblingComments(pod.id).size === 0) {
      replace(new Set())
      return
    }
    await whilePortsLocked(() => noteWaiting(pod.id, replace(siblingComments(pod.id))))
  }
  await podRules.setUp({ ...pod, going: () => goingOf(pod), settle }, undo)
}

/** The elements of a pod that are not in the ruleset as they should be; for a port that another one has it may wait. */
export const missingPod = async (pod: Pod): Promise<Placed[]> => {
  const missing = await podRules.missing(pod)
  if (missing.length === 0) return missing
  const waiting = new Set(ownerOf(pod.id)?.waiting?.map(({ claim }) => claim))
  if (waiting.size === 0) return missing
  const siblings = siblingComments(pod.id)
  return withNetlink(NETLINK_NETFILTER, nl =>
    missing.filter(
      placed => !waiting.has(placed.claim ?? '') || !siblings.has(commentOfElement(nl, placed) ?? ''),
    ),
  )
}
