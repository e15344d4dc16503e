/**
 * Facts about iptables without starting one of its programs, of which each costs milliseconds and, on a node with many
 * services, reads thousands of rules.
 */

import { readFileSync } from 'node:fs'
import { errnoOf } from '../host/errno'
import { isFrom } from '../host/system-error'
import type { Family } from '../ip/addr'
import { hasIptables, type Variant } from './iptables'
import { chainGet, ruleList } from './nft/read'
import { ifNftables } from './nft/socket'
import type { NftTable } from './nft/wire/table'

/** Where the nf_tables variant of iptables keeps its table nat. */
const natTable = (family: Family): NftTable => ({ family: family === 4 ? 'ip' : 'ip6', name: 'nat' })

/** Has the legacy variant's table nat been in use in this network namespace? */
export const hasLegacyNat = (family: Family): boolean => {
  const names = family === 4 ? 'ip_tables_names' : 'ip6_tables_names'
  try {
    return readFileSync(`/proc/thread-self/net/${names}`, 'utf8').split('\n').includes('nat')
  } catch (error) {
    return errnoOf(error) !== 'ENOENT' // without the file the kernel has no such tables
  }
}

const asksNftables = (work: Parameters<typeof ifNftables<boolean>>[0]): boolean => {
  try {
    return ifNftables(work) ?? false
  } catch (error) {
    if (isFrom(error, 'netlink')) return true // unknown counts as possible
    throw error
  }
}

/** May there be rules of the nf_tables variant in its table nat? */
export const hasNftNatRules = (family: Family): boolean =>
  asksNftables(nl => ruleList(nl, natTable(family)).length > 0)

const hasNftChain = (family: Family, chains: readonly string[]): boolean =>
  asksNftables(nl => chains.some(chain => chainGet(nl, natTable(family), chain) !== undefined))

/**
 * The variants of iptables that may have rules in the table nat, or one of these chains there, each by its own
 * programs; undefined stands for those that are called iptables alone. A change of the node's variant leaves rules in
 * the other one. Empty where there is nothing to be found, or nothing to find it with.
 */
export const variantsInUse = (family: Family, ...chains: readonly string[]): (Variant | undefined)[] => {
  const there: Variant[] = [
    ...((chains.length === 0 ? hasNftNatRules(family) : hasNftChain(family, chains))
      ? (['nft'] as const)
      : []),
    ...(hasLegacyNat(family) ? (['legacy'] as const) : []),
  ]
  const named = there.map(variant => (hasIptables(family, variant) ? variant : undefined))
  return [...new Set(named)].filter(variant => hasIptables(family, variant))
}
