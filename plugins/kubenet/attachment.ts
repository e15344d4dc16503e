/** One attachment's share of the ruleset: its addresses and its host ports, with nftables. */

import type { Attachment } from '../../src/attachment/attachment'
import { elementComment } from '../../src/attachment/nft-comments'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { Undo } from '../../src/host/undo'
import type { Addr } from '../../src/ip/addr'
import { ifNftablesMeanwhile } from '../../src/netfilter/nft/socket'
import { type Placed, placeOfClaim, podElements, portElements } from '../../src/netfilter/rules/pods/elements'
import {
  commentOfElement,
  createElements,
  eraseElements,
  listElements,
  missingElements,
  type Place,
  replaceElements,
} from '../../src/netfilter/rules/pods/nft'
import { podsSet } from '../../src/netfilter/rules/pods/nft-rules'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import { claimPorts, ownerOf, releasePorts, whilePortsLocked } from '../portmap/claims'
import { type PortmapConf, readPortmapConf } from '../portmap/config'
import { bury as buryPortmap, forgetFlowsOf } from '../portmap/del'
import type { PortOwner } from '../portmap/owners'
import type { KubenetConf } from './config'
import { callOf } from './parts'
import { noteWaiting, passPortsOn, siblingComments, stopWaiting } from './shared-ports'

/** The attachment that a call is about. */
export const ownerOfCall = (call: Call, conf: KubenetConf): Attachment => ({
  network: conf.network,
  containerID: call.env.containerID,
  ifName: call.env.ifName,
})

const addressesOf = (result: Result): Addr[] => result.ips.map(({ address }) => address.addr)

/** The port mappings of a call, as portmap reads them. */
export const portsOfCall = (call: Call, result?: Result): PortmapConf =>
  readPortmapConf(callOf(call, { type: 'portmap', backend: 'nftables' }, result))

/** Everything of an attachment that belongs into the ruleset. */
export const elementsOf = (call: Call, conf: KubenetConf, result: Result): Placed[] => {
  const comment = elementComment(ownerOfCall(call, conf))
  return [
    ...podElements(conf, addressesOf(result), comment),
    ...portElements(portsOfCall(call, result), comment),
  ]
}

/** The places of the ports that an owner's record names. */
const claimedPlaces = (claims: readonly string[]): Place[] =>
  claims.flatMap(claim => placeOfClaim(claim) ?? [])

/** What is known of an attachment that goes; without an address everything is looked through for it. */
type Known = { readonly addresses: readonly Addr[]; readonly claims: readonly string[] }

/**
 * Removes what has the attachment's comment from the ruleset: at once, but what nf_tables waits for then passes before the
 * promise is kept. Answers how many elements that were.
 */
export const eraseOfOwner = async (owner: Attachment, { addresses, claims }: Known): Promise<number> => {
  const comment = elementComment(owner)
  const erased = await ifNftablesMeanwhile(nl => {
    if (addresses.length === 0) {
      const own = listElements(nl, owner.network).filter(({ element }) => element.comment === comment)
      return eraseElements(
        nl,
        own.map(({ set, element }) => ({ set, key: element.key })),
        comment,
      )
    }
    const pods = addresses.map(addr => ({ set: podsSet(owner.network, addr.family), key: [addr] }))
    return eraseElements(nl, [...pods, ...claimedPlaces(claims)], comment)
  })
  return erased ?? 0
}

/** Takes back what writeAttachment did, for a pod with `ports`; where they are not recorded all is looked through. */
const takeBack = async (
  owner: Attachment,
  { mappings, addresses }: PortmapConf,
  hadPorts: boolean,
): Promise<void> => {
  const record = ownerOf(owner)
  await stopWaiting(record)
  const known = record || mappings.length === 0 ? addresses.map(({ addr }) => addr) : []
  await runAll([
    async () => {
      await eraseOfOwner(owner, { addresses: known, claims: record?.claims ?? [] })
    },
    // Those of an ADD before are the pod's, which may run.
    () => (hadPorts ? undefined : releasePorts(owner, { passOn: passPortsOn })),
  ])
}

/** Takes an attachment that is gone out of the ruleset, and gives its host ports back. */
export const takeOutAttachment = (call: Call, conf: KubenetConf, result: Result): Promise<void> =>
  takeBack(ownerOfCall(call, conf), portsOfCall(call, result), false)

/** Removes what is left of a dead owner of a port, whichever plugin opened it. */
const bury = (owner: PortOwner): Promise<void> =>
  runAll([
    async () => {
      await eraseOfOwner(owner, { addresses: [], claims: owner.claims })
    },
    // Only portmap notes what rules it made.
    () => (owner.rules ? buryPortmap(owner) : forgetFlowsOf(owner)),
  ])

/** Puts an attachment into the ruleset: one batch for its addresses, its ports, and the frame if that is missing. */
export const writeAttachment = async (
  call: Call,
  conf: KubenetConf,
  result: Result,
  undo: Undo,
): Promise<void> => {
  const ports = portsOfCall(call, result)
  const owner = ownerOfCall(call, conf)
  let hadPorts = false
  undo.add('take the pod out of the ruleset', () => takeBack(owner, ports, hadPorts))
  if (ports.mappings.length > 0) {
    const { checkListeners } = await import('../portmap/listeners.js')
    checkListeners(ports)
    const { earlier } = await claimPorts(call, ports, { bury })
    hadPorts = earlier !== undefined
  }
  const elements = elementsOf(call, conf, result)
  if (withNetlink(NETLINK_NETFILTER, nl => createElements(nl, conf, elements))) return
  const replace = (kept: ReadonlySet<string>): Placed[] =>
    withNetlink(NETLINK_NETFILTER, nl => replaceElements(nl, conf, elements, kept))
  if (ports.mappings.length === 0 || siblingComments(owner).size === 0) {
    replace(new Set())
    return
  }
  await whilePortsLocked(() => noteWaiting(owner, replace(siblingComments(owner))))
}

/** The elements of an attachment that are not in the ruleset as they should be. */
export const missingOfAttachment = (call: Call, conf: KubenetConf, result: Result): Placed[] =>
  withNetlink(NETLINK_NETFILTER, nl => {
    const missing = missingElements(nl, elementsOf(call, conf, result))
    if (missing.length === 0) return missing
    const owner = ownerOfCall(call, conf)
    const waiting = new Set(ownerOf(owner)?.waiting?.map(({ claim }) => claim))
    if (waiting.size === 0) return missing
    const siblings = siblingComments(owner)
    return missing.filter(
      placed => !waiting.has(placed.claim ?? '') || !siblings.has(commentOfElement(nl, placed) ?? ''),
    )
  })
