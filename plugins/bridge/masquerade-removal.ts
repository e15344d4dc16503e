/** Masquerading rules go from both backends: those of an attachment may be of an earlier configuration. */
import type { Attachment } from '../../src/attachment/attachment'
import { containerChain } from '../../src/attachment/iptables-names'
import { CniError, runAll } from '../../src/cni/error'
import type { Family } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { variantsInUse } from '../../src/netfilter/iptables-probe'
import { masqueradedContainers, teardownMasqueradeIptables } from '../../src/netfilter/masquerade-iptables'
import {
  collectMasqueradeNftables,
  teardownMasqueradeNftables,
} from '../../src/netfilter/masquerade-nftables'
import { ifNftables, ifNftablesMeanwhile } from '../../src/netfilter/nft/socket'

const families: readonly Family[] = [4, 6]

const removeFromIptables = async (
  { network, containerID }: Attachment,
  addresses: readonly Cidr[],
): Promise<void> => {
  const chain = containerChain(network, containerID)
  // Asking costs no program, removing costs one a family.
  if (families.every(family => variantsInUse(family, chain).length === 0)) return
  await teardownMasqueradeIptables(network, containerID, addresses)
}

/** Waits for all of it, also when some fails; then throws what failed. */
const allOf = async (work: readonly Promise<unknown>[]): Promise<void> => {
  const outcomes = await Promise.allSettled(work)
  const failures = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
  if (failures.length > 0) throw CniError.join(failures)
}

/**
 * Removes an attachment's rules: with either backend as much as can be done without waiting is done, or begun, before
 * this returns. In iptables those of the addresses, and without any all of the container's on this
 * network; undefined leaves them alone there, where a second interface has a share in them.
 */
export const removeMasquerade = (id: Attachment, addresses: readonly Cidr[] | undefined): Promise<void> =>
  allOf([
    // First: to ask which rules there are it opens and closes sockets, which would wait for what nftables removes.
    addresses ? removeFromIptables(id, addresses) : Promise.resolve(),
    ifNftablesMeanwhile(nl => teardownMasqueradeNftables(nl, id)),
  ])

const collectFromIptables = async (network: string, valid: readonly Attachment[]): Promise<void> => {
  const alive = new Set(valid.map(({ containerID }) => containerID))
  const stale = [...(await masqueradedContainers(network))].filter(containerID => !alive.has(containerID))
  await runAll(stale.map(containerID => () => teardownMasqueradeIptables(network, containerID, [])))
}

/** Removes the rules of the network's attachments that are not valid any more; in iptables a container's as a whole. */
export const collectMasquerade = (network: string, valid: readonly Attachment[]): Promise<void> =>
  runAll([
    () => collectFromIptables(network, valid),
    () => {
      ifNftables(nl => collectMasqueradeNftables(nl, network, valid))
    },
  ])
