/** Deleting thousands of rules. */
import type { NetlinkSocket } from '../../netlink/socket'
import { NftTransaction, untilUnchanged } from './transaction'
import type { NftTable } from './wire/table'

/** A rule in its table. */
export type PlacedRule = { readonly table: NftTable; readonly chain: string; readonly handle: bigint }

// To find one rule the kernel goes through its chain from the start, past those that the same batch deletes too.
const rulesPerBatch = 1024

/**
 * Deletes the rules that `find` reads through `nl`, those of a chain in its order: however many there are, at a cost that
 * grows as their number does. Where another process changes a table meanwhile, `find` runs again for what is left. Not
 * one transaction: a process that is killed leaves some of them. Throws EAGAIN, saying `op`, and what commit() throws.
 */
export const nftDeleteRules = (
  nl: Pick<NetlinkSocket, 'request' | 'dump' | 'exchange'>,
  op: string,
  find: () => readonly PlacedRule[],
): void =>
  untilUnchanged(nl, op, generation => {
    const rules = find()
    for (let from = 0; from < rules.length; from += rulesPerBatch) {
      // Each of our own batches makes the next generation.
      const tx = new NftTransaction(generation + from / rulesPerBatch)
      for (const rule of rules.slice(from, from + rulesPerBatch)) tx.deleteRule(rule.table, rule)
      tx.commit(nl)
    }
  })
