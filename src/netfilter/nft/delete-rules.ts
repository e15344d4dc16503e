/** Deleting thousands of rules. */
import type { NetlinkSocket } from '../../netlink/socket'
import { ruleCount } from './read'
import { NftTransaction, untilUnchanged } from './transaction'
import type { NftTable } from './wire/table'

/** A rule in its table. */
export type PlacedRule = { readonly table: NftTable; readonly chain: string; readonly handle: bigint }

type Socket = Pick<NetlinkSocket, 'request' | 'dump' | 'exchange'>

// To find one rule the kernel goes through its chain from the start, past those that the same batch deletes too.
const rulesPerBatch = 1024

const placeOf = ({ table, chain }: PlacedRule): string => `${table.family} ${table.name} ${chain}`

/** One rule of each chain in which there are many rules and no others. */
const wholeChains = (nl: Socket, rules: readonly PlacedRule[]): PlacedRule[] => {
  if (rules.length < rulesPerBatch) return []
  const counts = new Map<string, { readonly first: PlacedRule; count: number }>()
  for (const rule of rules) {
    const known = counts.get(placeOf(rule))
    if (known) known.count++
    else counts.set(placeOf(rule), { first: rule, count: 1 })
  }
  return [...counts.values()]
    .filter(({ first, count }) => count >= rulesPerBatch && ruleCount(nl, first.table, first.chain) === count)
    .map(({ first }) => first)
}

/**
 * Deletes the rules that `find` reads through `nl`, those of a chain in its order: however many there are, at a cost that
 * grows as their number does, and a chain that has no others at once. Where another process changes a table meanwhile,
 * `find` runs again for what is left. Not one transaction: a process that is killed leaves some of them. Throws EAGAIN,
 * saying `op`, and what commit() throws.
 */
export const nftDeleteRules = (nl: Socket, op: string, find: () => readonly PlacedRule[]): void =>
  untilUnchanged(nl, op, generation => {
    const rules = find()
    const whole = wholeChains(nl, rules)
    const places = new Set(whole.map(placeOf))
    const single = places.size > 0 ? rules.filter(rule => !places.has(placeOf(rule))) : rules
    // Each of our own batches makes the next generation.
    let next = generation
    const commit = (fill: (tx: NftTransaction) => void): void => {
      const tx = new NftTransaction(next++)
      fill(tx)
      tx.commit(nl)
    }
    if (whole.length > 0)
      commit(tx => {
        for (const { table, chain } of whole) tx.flushChain(table, chain)
      })
    for (let from = 0; from < single.length; from += rulesPerBatch)
      commit(tx => {
        for (const rule of single.slice(from, from + rulesPerBatch)) tx.deleteRule(rule.table, rule)
      })
  })
