/** The host ports that are to lead to a container, and the owner of their rules. */
import type { Attachment } from '../../../attachment/attachment'
import { CniError, ErrorCode, shorten } from '../../../cni/error'
import type { Addr, Family } from '../../../ip/addr'
import type { Cidr } from '../../../ip/cidr'
import type { RuleKind } from '../../backend'

/** The protocols that have ports, as iptables and nft spell them. */
export const protocols = ['tcp', 'udp', 'sctp'] as const

type Protocol = (typeof protocols)[number]

/** A port of the host and the container's that it leads to. */
export type PortMapping = {
  readonly protocol: Protocol
  readonly hostPort: number
  readonly containerPort: number
  /** The one address it is open on; undefined: all of the families the mapping is for. */
  readonly hostIP: Addr | undefined
  /** Set where the configuration named an unspecified address: the one family the mapping is for. */
  readonly onlyFamily: Family | undefined
}

/** The ports of one attachment. */
export type HostPorts = Attachment & {
  readonly mappings: readonly PortMapping[]
  /** The container's first address of each family. */
  readonly addresses: readonly Cidr[]
  /** Is what comes from the host itself, or from the container's neighbours, masqueraded? */
  readonly snat: boolean
  /** Is everything masqueraded that comes by its ports? */
  readonly masqAll: boolean
  readonly markBit: number
  /** The chain of iptables that marks in place of ours. */
  readonly externalSetMarkChain: string | undefined
  /** Matches of the user's own, in the words of the backend's program. */
  readonly conditions: { readonly [family in Family]: readonly string[] }
}

/** The mappings that open a port for one family: those of the other family's addresses do not. */
export const mappingsOf = ({ mappings }: Pick<HostPorts, 'mappings'>, family: Family): PortMapping[] =>
  mappings.filter(({ onlyFamily }) => onlyFamily === undefined || onlyFamily === family)

/** One rule in nftables, by which DEL finds it without reading all rules. */
export type RuleRef = { family: Family; chain: string; handle: string }

/** The rules of ADD in the packet filter, as far as it helps to find them again. */
export type InstalledRules =
  | {
      backend: 'iptables'
      /** The rules that lead to the container's chain, "CNI-HOSTPORT-DNAT -p tcp …", for each family it has one of. */
      jumps: { [family in Family]?: string[] | undefined }
      /** One rule of the chain, "CNI-DN-… -p tcp … -j DNAT …": no other chain has it. Older versions noted none. */
      marks?: { [family in Family]?: string | undefined } | undefined
    }
  | {
      backend: 'nftables'
      /** Without, ADD did not come to its end. */
      handles?: RuleRef[] | undefined
    }

/**
 * Tells whose a rule of a container is, by the address it leads to: the reference's rules, and in nftables ours, name no
 * interface.
 */
export type Whose = {
  /** The addresses the attachment's record has. */
  readonly recorded: readonly string[]
  /** The attachment's, another one's of its container, or nothing tells. */
  of(address: string): 'own' | 'other' | 'unknown'
  /** Does a rule that leads to this address go with the attachment? */
  isDoomed(address: string): boolean
}

/** An attachment whose rules go, and those its record names; where that is silent, everything is looked through. */
export type Going = {
  readonly id: Attachment
  /** Called for each look at the rules: what it goes by comes and goes too. */
  readonly whose: () => Whose
  readonly rules: InstalledRules | undefined
}

/** The known facts of an attachment before its rules are made. */
export type Before = {
  /** The record of an ADD before. */
  readonly earlier: { readonly rules?: InstalledRules | undefined } | undefined
  /** False where nothing can be recorded: the state before is unknown then. */
  readonly recorded: boolean
}

/** An attachment whose rules come: what is known, and who hears of them. */
export type Opening = HostPorts & {
  readonly before: Before
  readonly whose: () => Whose
  /** Has another interface of the container this address? */
  readonly isElsewhere: (address: string) => boolean
  /** Hears of the rules there are by now, each time some are added. */
  readonly note: (rules: InstalledRules) => void
}

/** The attachments to keep and to remove when a network is cleaned up. */
export type Collection = {
  readonly network: string
  /** The attachments whose rules stay. */
  readonly kept: readonly Attachment[]
  /** The attachments known to be gone; rules may name others. */
  readonly gone: readonly Going[]
}

/** A rule that is not there, as CHECK says it. */
export type MissingRule = { readonly message: string; readonly details: string }

/** The rules that lead ports of the host to containers. */
export type HostPortRules = RuleKind<HostPorts, Going, Collection, MissingRule, Opening> & {
  /** The rules `setUp` is going to make, as far as they can be told before. */
  plan(ports: HostPorts, before?: Before): InstalledRules
}

/** The failure of rules that the program refused, with the words of the user that are in them. */
export const refusedWords = (
  program: string,
  words: { readonly family: Family; readonly conditions: readonly string[]; readonly chain?: string },
  error: { readonly details: string },
): CniError => {
  const { family, conditions, chain } = words
  const key = conditions.length > 0 ? `conditionsV${family}` : 'externalSetMarkChain'
  const value = shorten(conditions.length > 0 ? conditions.join(' ') : (chain ?? ''), 1000)
  return new CniError(
    ErrorCode.invalidNetworkConfig,
    `${program} refuses the rules of the host ports with "${key}": ${value}`,
    { details: error.details },
  )
}
