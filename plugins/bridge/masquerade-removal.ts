/** Masquerading rules go from both backends: those of an attachment may be of an earlier configuration. */
import { type Attachment, isAmong } from '../../src/attachment/attachment'
import { containerChain } from '../../src/attachment/iptables-names'
import { leaseOn } from '../../src/attachment/lease-files'
import { CniError, runAll } from '../../src/cni/error'
import { variantsInUse } from '../../src/netfilter/iptables-probe'
import { ifNftables, ifNftablesMeanwhile } from '../../src/netfilter/nft/socket'
import {
  collectMasqueradeIptables,
  type DoomedRules,
  teardownMasqueradeIptables,
} from '../../src/netfilter/rules/masquerade/iptables'
import {
  collectMasqueradeNftables,
  hasMasqueradeNftables,
  teardownMasqueradeNftables,
} from '../../src/netfilter/rules/masquerade/nft'

/** Is any masquerade rule of the attachment there, with either backend? In iptables those of its container count. */
export const hasMasquerade = (id: Attachment): boolean => {
  const chain = containerChain(id.network, id.containerID)
  if (([4, 6] as const).some(family => variantsInUse(family, chain).length > 0)) return true
  return ifNftables(nl => hasMasqueradeNftables(nl, id)) ?? false
}

/** Waits for all of it, also when some fails; then throws what failed. */
const allOf = async (work: readonly Promise<unknown>[]): Promise<void> => {
  const outcomes = await Promise.allSettled(work)
  const failures = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (failures.length > 0) throw CniError.join(failures)
}

/**
 * Removes an attachment's rules: with either backend as much as can be done without waiting is done, or begun, before
 * this returns. `doomed` tells which of its container's they are in iptables, where they name no interface.
 */
export const removeMasquerade = (id: Attachment, doomed: DoomedRules): Promise<void> =>
  allOf([
    // First: to ask which rules there are it opens and closes sockets, which would wait for what nftables removes.
    teardownMasqueradeIptables(id, doomed),
    ifNftablesMeanwhile(nl => teardownMasqueradeNftables(nl, id)),
  ])

/** The attachments of a network that stay, and the folder in which leases tell whose an address is. */
type Kept = {
  readonly network: string
  readonly valid: readonly Attachment[]
  readonly dataDir: string | undefined
}

/** Removes from iptables the rules of containers that are gone, and those of interfaces whose leases name them. */
const collectFromIptables = ({ network, valid, dataDir }: Kept): Promise<void> => {
  const kept = new Set(valid.map(({ containerID }) => containerChain(network, containerID)))
  const isValid = isAmong(valid)
  return collectMasqueradeIptables(network, (chain, address) => {
    if (!kept.has(chain)) return true
    const { containerID, ifName } = leaseOn(network, address, dataDir) ?? {}
    if (containerID === undefined || ifName === undefined) return false
    return containerChain(network, containerID) !== chain || !isValid({ network, containerID, ifName })
  })
}

/** Removes the rules of the network's attachments that are not valid any more. */
export const collectMasquerade = (kept: Kept): Promise<void> =>
  runAll([
    () => collectFromIptables(kept),
    () => {
      ifNftables(nl => collectMasqueradeNftables(nl, kept.network, kept.valid))
    },
  ])
