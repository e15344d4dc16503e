import type { Undo } from '../host/undo'
import { hasIptables } from './iptables'
import { hasNftables } from './nft/socket'

/** The two ways to program the kernel's packet filter that a configuration may name. */
export const backends = ['iptables', 'nftables'] as const

export type Backend = (typeof backends)[number]

/** The backend to use when the configuration names none: iptables where its programs are, as in the reference. */
export const defaultBackend = (): Backend => (hasIptables(4) ? 'iptables' : 'nftables')

/** The backend named, or with "auto" nftables if the kernel has it: for networks that the reference knows nothing of. */
export const chooseBackend = (named: Backend | 'auto'): Backend => {
  if (named !== 'auto') return named
  return hasNftables() || !hasIptables(4) ? 'nftables' : 'iptables'
}

/**
 * The functions of either backend for one kind of rules. The five words are those for all that is made on a host.
 * `Wanted` says what an attachment is to have, and `Making` what making it needs to know besides, `Going` whose rules
 * go, `Kept` who stays when a network is cleaned up.
 */
export type RuleKind<Wanted, Going, Kept, Missing = string, Making extends Wanted = Wanted> = {
  /** Makes the rules, in place of those that are there of an ADD before, and registers how to take that back. */
  setUp(wanted: Making, undo: Undo): Promise<void>
  /** Removes an attachment's rules; none there is no failure. Steps without a wait are begun at once. */
  takeDown(going: Going): Promise<void>
  /** The faults that CHECK reports: the rules that are not there as they should be, in the backend's words. */
  missing(wanted: Wanted): Promise<Missing[]>
  /** Looks whose rules are there, and removes those of who is gone. */
  collect(kept: Kept): Promise<void>
  /**
   * The obstacles that STATUS reports: throws the reason if this host cannot have such rules, or the wanted ones, and
   * makes none.
   */
  probe(wanted?: Wanted): Promise<void>
}
