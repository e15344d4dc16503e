import type { Attachment } from '../../../attachment/attachment'
import type { Cidr } from '../../../ip/cidr'
import type { Backend, RuleKind } from '../../backend'

/** Packets from these addresses to elsewhere get the node's address. */
export type Masquerade = Attachment & {
  /** The container's addresses with their subnets' prefix lengths; traffic inside those subnets stays as it is. */
  readonly addresses: readonly Cidr[]
  /** Networks to which traffic stays as it is too. */
  readonly exempt: readonly Cidr[]
}

/** An attachment whose rules go. Those in iptables name its container alone, and their addresses tell whose they are. */
export type Unmasqueraded = {
  readonly id: Attachment
  /** Addresses with a rule each, unless changed since the ADD. */
  readonly known: readonly Cidr[]
  /** Asked where those known are not all there are: does the rule of this address go? */
  readonly isDoomed: (address: string) => boolean
}

/** The attachments of a network that stay, and the folder in which leases tell whose an address is. */
export type Kept = {
  readonly network: string
  readonly valid: readonly Attachment[]
  readonly dataDir: string | undefined
}

/** The rules that masquerade what containers send. */
export type MasqueradeRules = RuleKind<Masquerade, Unmasqueraded, Kept> & {
  /** Is any rule of the attachment there? In iptables those of its container count. */
  isThere(id: Attachment): boolean
}

/** An ADD pays for the modules of the one it uses alone. */
export const loadMasquerade: Record<Backend, () => Promise<MasqueradeRules>> = {
  iptables: async () => (await import('./iptables.js')).masqueradeRules,
  nftables: async () => (await import('./nft.js')).masqueradeRules,
}
