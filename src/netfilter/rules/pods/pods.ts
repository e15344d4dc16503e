/** The rules for a network's pods, and their owner. */
import type { Attachment } from '../../../attachment/attachment'
import type { Addr, Family } from '../../../ip/addr'
import type { Cidr } from '../../../ip/cidr'
import type { RuleKind } from '../../backend'
import type { NftElement, NftSet } from '../../nft/set'
import type { HostPorts } from '../hostports/hostports'

/** The rules that all pods of a network share. */
export type PodNetwork = {
  readonly network: string
  readonly bridge: string
  /** Networks to which nothing is masqueraded, none inside another; the pod ranges are among them. */
  readonly nonMasquerade: readonly Cidr[]
}

/** Is anything of this family masqueraded at all? Not if all of it is exempt. */
export const masquerades = ({ nonMasquerade }: Pick<PodNetwork, 'nonMasquerade'>, family: Family): boolean =>
  !nonMasquerade.some(network => network.prefix === 0 && network.addr.family === family)

/** One pod of a network. */
export type Pod = {
  readonly net: PodNetwork
  readonly id: Attachment
  readonly addresses: readonly Addr[]
  readonly ports: Pick<HostPorts, 'mappings' | 'addresses'>
}

/** The known facts of a pod that is deleted; without an address everything is looked through for it. */
export type GoingPod = {
  readonly id: Attachment
  readonly addresses: readonly Addr[]
  /** The claims of its host ports: "tcp-8080/any4". */
  readonly claims: readonly string[]
}

/** The pods of a network that stay, and those that are on record with host ports. */
export type KeptPods = {
  readonly network: string
  readonly valid: readonly Attachment[]
  readonly recorded: () => readonly Attachment[]
}

/** A set or map whose keys are single values. */
export type PlainSet = NftSet & { readonly interval?: false }

/** An element and the set or map it is in. */
export type Placed = {
  readonly set: PlainSet
  readonly element: NftElement
  /** The claim of the host port that it leads to the pod. */
  readonly claim?: string
}

/** A pod that is being made. */
export type NewPod = Pod & {
  /** The key by which it is found when it is deleted. */
  readonly going: () => Promise<GoingPod>
  /**
   * Called where elements are in the way, of a lost DEL or of another interface of the container. `replace` puts the pod's in
   * their place, except where one has a comment in `kept`, and returns what is left out.
   */
  readonly settle: (replace: (kept: ReadonlySet<string>) => Placed[]) => Promise<void>
}

/** A pod's share of the ruleset. */
export type PodRules = Omit<RuleKind<Pod, GoingPod, KeptPods, Placed, NewPod>, 'takeDown'> & {
  /** As with the other kinds. Answers how many elements there were. */
  takeDown(going: GoingPod): Promise<number>
}
