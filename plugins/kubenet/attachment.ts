/** One attachment's share of the ruleset: its addresses and its host ports, with nftables. */
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { Undo } from '../../src/host/undo'
import type { Addr } from '../../src/ip/addr'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import { claimPorts, ownerOf, releasePorts } from '../portmap/claims'
import { type PortmapConf, readPortmapConf } from '../portmap/config'
import type { KubenetConf } from './config'
import { type Placed, placeOfClaim, podElements, portElements } from './elements'
import { type Owner, ownerComment } from './owner'
import { callOf } from './parts'
import { podsSet } from './ruleset'
import { eraseElements, listElements, missingElements, type Place, writeElements } from './state'

/** The attachment that a call is about. */
export const ownerOfCall = (call: Call, conf: KubenetConf): Owner => ({
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
  const comment = ownerComment(ownerOfCall(call, conf))
  return [
    ...podElements(conf, addressesOf(result), comment),
    ...portElements(portsOfCall(call, result), comment),
  ]
}

/** The places of the ports that an owner's record names. */
const claimedPlaces = (owner: Owner): Place[] =>
  (ownerOf(owner)?.claims ?? []).flatMap(claim => placeOfClaim(claim) ?? [])

/** Removes an attachment's elements and gives its ports back. */
export const eraseAttachment = async (owner: Owner, addresses: readonly Addr[]): Promise<void> => {
  const comment = ownerComment(owner)
  withNetlink(NETLINK_NETFILTER, nl => {
    const places = [
      ...addresses.map(addr => ({ set: podsSet(owner.network, addr.family), key: [addr] })),
      ...claimedPlaces(owner),
    ]
    // Without any knowledge of what it had, everything is looked through.
    if (addresses.length === 0) {
      const own = listElements(nl, owner.network).filter(({ element }) => element.comment === comment)
      places.push(...own.map(({ set, element }) => ({ set, key: element.key })))
    }
    eraseElements(nl, places, comment)
  })
  await releasePorts(owner)
}

/** Puts an attachment into the ruleset: one batch for its addresses, its ports, and the frame if that is missing. */
export const writeAttachment = async (
  call: Call,
  conf: KubenetConf,
  result: Result,
  undo: Undo,
): Promise<void> => {
  const ports = portsOfCall(call, result)
  const owner = ownerOfCall(call, conf)
  undo.add('take the pod out of the ruleset', () => eraseAttachment(owner, addressesOf(result)))
  if (ports.mappings.length > 0) {
    const { dead } = await claimPorts(call, ports)
    for (const gone of dead) await eraseAttachment(gone, [])
  }
  withNetlink(NETLINK_NETFILTER, nl => writeElements(nl, conf, elementsOf(call, conf, result)))
}

/** The elements of an attachment that are not in the ruleset as they should be. */
export const missingOfAttachment = (call: Call, conf: KubenetConf, result: Result): Placed[] =>
  withNetlink(NETLINK_NETFILTER, nl => missingElements(nl, elementsOf(call, conf, result)))
