/** Attachments while a survey puts them together: each object of the node goes to the one it says it belongs to. */

import type { PortOwner } from '../../plugins/portmap/records'
import { type Attachment, isOn, shortened, shortName, textOf } from '../../src/attachment/attachment'
import { elementComment, masqueradePrefix, portComment } from '../../src/attachment/nft-comments'
import type { Lease } from './leases'
import type { HostLink } from './links'
import type { ContainerInterface } from './namespaces'
import type { PortRule } from './port-rules'
import type { CachedAttachment } from './readings'
import type { MasqueradeRule, RulesetElement, SpoofCheck } from './ruleset'

/** All that was found of one attachment so far. */
export type Draft = {
  /** "" where nothing tells. */
  readonly network: string
  readonly containerID: string
  /** "" where only the container is named. */
  readonly ifName: string
  readonly leases: Lease[]
  cached: CachedAttachment | undefined
  portOwner: PortOwner | undefined
  /** The host's end of its veth pair, and the container's. */
  veth: HostLink | undefined
  container: ContainerInterface | undefined
  readonly elements: RulesetElement[]
  readonly masquerades: MasqueradeRule[]
  readonly portRules: PortRule[]
  readonly spoofChecks: SpoofCheck[]
  readonly ifbs: HostLink[]
}

/** An owner as objects name it: some of them not the interface, some not even the network. */
type Named = {
  readonly network: string | undefined
  readonly containerID: string
  readonly ifName: string | undefined
}

const emptyDraft = ({ network, containerID, ifName }: Attachment): Draft => ({
  network,
  containerID,
  ifName,
  leases: [],
  cached: undefined,
  portOwner: undefined,
  veth: undefined,
  container: undefined,
  elements: [],
  masquerades: [],
  portRules: [],
  spoofChecks: [],
  ifbs: [],
})

/**
 * The short name of a container in objects without room for its whole ID: alias, comments of iptables, comments of
 * nftables.
 */
const namesOf = ({ containerID }: Attachment): Set<string> =>
  new Set([containerID, shortName(containerID), portComment(containerID)])

/** The attachments found so far, by what objects call them. */
export class Drafts {
  readonly #byKey = new Map<string, Draft>()
  /** The same by the names that objects have which have no room for long ones. */
  readonly #byShortKey = new Map<string, Draft>()
  readonly #byContainer = new Map<string, Draft[]>()
  #byMasquerade: Map<string, Draft> | undefined
  #byComment: Map<string, Draft> | undefined

  /** All of them, in the order they were found. */
  get all(): Draft[] {
    return [...this.#byKey.values()]
  }

  /** The attachment of that name, long ones in full or shortened, which is made if nothing named it before. */
  of(owner: Attachment): Draft {
    const key = textOf(owner)
    const found = this.#byKey.get(key) ?? this.#byShortKey.get(key)
    if (found) return found
    const made = emptyDraft(owner)
    this.#byKey.set(key, made)
    this.#byShortKey.set(textOf(shortened(owner)), made)
    this.#byComment = undefined
    this.#byMasquerade = undefined
    for (const name of namesOf(owner)) {
      const others = this.#byContainer.get(name)
      if (others) others.push(made)
      else this.#byContainer.set(name, [made])
    }
    return made
  }

  /** The attachments of a container, on one network or on all. */
  ofContainer({ network, containerID }: Named): Draft[] {
    const drafts = this.#byContainer.get(containerID) ?? []
    return network === undefined ? drafts : drafts.filter(draft => isOn({ network }, draft.network))
  }

  /**
   * The attachment that an object belongs to which names less than all of it: of the container's, the one with that
   * address if there is one. It is made if there is none.
   */
  likely(named: Named, address?: string): Draft {
    const { network = '', containerID, ifName } = named
    if (ifName !== undefined) return this.of({ network, containerID, ifName })
    const candidates = this.ofContainer(named)
    const fitting = candidates.find(({ leases }) => leases.some(lease => lease.address === address))
    return fitting ?? candidates[0] ?? this.of({ network, containerID, ifName: '' })
  }

  /** The attachment whose elements have this comment, which may be a hash; undefined if none of those known has. */
  byComment(comment: string): Draft | undefined {
    this.#byComment ??= new Map(this.all.map(draft => [elementComment(draft), draft]))
    return this.#byComment.get(comment)
  }
  /** The attachment whose masquerade rules have comments that begin like this; undefined if none of those known has. */
  byMasquerade(prefix: string): Draft | undefined {
    this.#byMasquerade ??= new Map(this.all.map(draft => [masqueradePrefix(draft), draft]))
    return this.#byMasquerade.get(prefix)
  }
}
