/**
 * The rules of host ports, with either backend, and the owner of those that name a container, but not which of its
 * interfaces: the reference's, and in nftables ours, which the reference must be able to remove. The address they lead to
 * tells.
 */
import { type Attachment, keyOf } from '../../src/attachment/attachment'
import { isLeaseOf, leasesOf } from '../../src/attachment/lease'
import { runAll } from '../../src/cni/error'
import { formatAddr, parseAddr } from '../../src/ip/addr'
import { type Backend, backends } from '../../src/netfilter/backend'
import type { Going, HostPortRules, Whose as WhoseRules } from '../../src/netfilter/rules/hostports/hostports'
import { hostPortRules as byIptables } from '../../src/netfilter/rules/hostports/iptables'
import { hostPortRules as byNftables } from '../../src/netfilter/rules/hostports/nft'
import type { PortmapConf } from './config'
import { takeDownFlowsOf } from './conntrack'
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
const subjectOf = (id: Attachment, record?: PortOwner, known: readonly string[] = []): Subject => ({
  id,
  recorded: record?.addresses ?? [],
  known,
})

/** Sorts a container's rules by the addresses they lead to. Records and leases are read when first asked for. */
class Whose implements WhoseRules {
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

/** The rules of host ports, with either backend. */
export const hostPortRules: Readonly<Record<Backend, HostPortRules>> = {
  iptables: byIptables,
  nftables: byNftables,
}

/** Does the same with each backend, also when one of them fails: rules may be of an earlier configuration. */
export const withEveryBackend = (work: (rules: HostPortRules) => Promise<void>): Promise<void> =>
  runAll(backends.map(name => () => work(hostPortRules[name])))

/** The attachment of a record, as one whose rules go. */
export const goingOf = (owner: PortOwner): Going => ({
  id: owner,
  whose: () => new Whose(subjectOf(owner, owner)),
  rules: owner.rules,
})

/** Tells whose the rules are of the container that a call is about; its attachment has that record, if any. */
export const whoseOf = (conf: PortmapConf, record: PortOwner | undefined) => (): Whose =>
  new Whose(
    subjectOf(
      conf,
      record,
      conf.addresses.map(({ addr }) => formatAddr(addr)),
    ),
  )

/** Removes an attachment's rules, whatever this call's configuration says: ADD may have had another. */
export const takeDownRules = (going: Going): Promise<void> => withEveryBackend(rules => rules.takeDown(going))

/** Removes what is left of an attachment that is gone, except for its claims. */
export const takeDownDead = (owner: PortOwner): Promise<void> =>
  runAll([() => takeDownRules(goingOf(owner)), () => takeDownFlowsOf(owner)])
