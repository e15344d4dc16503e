/**
 * The owner of rules that name a container, but not which of its interfaces: the reference's, and in nftables ours,
 * which the reference must be able to remove. The address they lead to tells.
 */
import { type Attachment, keyOf } from '../../src/attachment/attachment'
import { isLeaseOf, leasesOf } from '../../src/attachment/lease'
import { parseAddr } from '../../src/ip/addr'
import type { Whose as WhoseRules } from '../../src/netfilter/rules/hostports/hostports'
import { listOwners, type PortOwner } from './records'

/** An attachment whose rules are looked for, with its addresses. */
type Subject = {
  readonly id: Attachment
  /** Those its record has. */
  readonly recorded: readonly string[]
  /** Those of the runtime's result. */
  readonly known: readonly string[]
}

/** The attachment of a record, as one whose rules are looked for. */
export const subjectOf = (id: Attachment, record?: PortOwner, known: readonly string[] = []): Subject => ({
  id,
  recorded: record?.addresses ?? [],
  known,
})

/** Sorts a container's rules by the addresses they lead to. Records and leases are read when first asked for. */
export class Whose implements WhoseRules {
  readonly #subject: Subject
  #siblings: PortOwner[] | undefined

  constructor(subject: Subject) {
    this.#subject = subject
  }

  get recorded(): readonly string[] {
    return this.#subject.recorded
  }

  /** The recorded attachments of the container beside the subject, on whichever network. */
  get siblings(): readonly PortOwner[] {
    const { id } = this.#subject
    this.#siblings ??= listOwners().filter(
      other => other.containerID === id.containerID && keyOf(other) !== keyOf(id),
    )
    return this.#siblings
  }

  /** Whose a rule of the container is that leads to this address: the subject's, a sibling's, or nothing tells. */
  of(address: string): 'own' | 'other' | 'unknown' {
    const { id, recorded, known } = this.#subject
    if (recorded.includes(address)) return 'own'
    if (this.siblings.some(({ addresses }) => addresses?.includes(address))) return 'other'
    if (known.includes(address)) return 'own'
    const leases = leasesOf(address).filter(({ containerID }) => containerID === id.containerID)
    if (leases.length === 0) return 'unknown'
    return leases.some(lease => lease.network === id.network && isLeaseOf(lease, id)) ? 'own' : 'other'
  }

  /**
   * Does a rule of the container that leads to this address go with the subject? Where its owner is unknown, it
   * stays if the subject is known to have another address of that family; else it goes, as with the reference.
   */
  isDoomed(address: string): boolean {
    const whose = this.of(address)
    if (whose !== 'unknown') return whose === 'own'
    const { recorded, known } = this.#subject
    const family = parseAddr(address)?.family
    return ![...recorded, ...known].some(other => parseAddr(other)?.family === family)
  }
}
