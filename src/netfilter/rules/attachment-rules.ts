/**
 * Rules of single attachments in one chain of nftables. An attachment's rules are found again by their comment, which
 * begins with hashes of network, interface and container as the reference makes them.
 */
import type { Attachment } from '../../attachment/attachment'
import {
  masqueradeComment,
  masqueradeNetworkPrefix,
  masqueradePrefix,
  masqueradePrefixLength,
} from '../../attachment/nft-comments'
import { CniError, ErrorCode, saidBy } from '../../cni/error'
import { networkOf } from '../../ip/cidr'
import type { NetlinkSocket } from '../../netlink/socket'
import { ruleListByComment } from '../nft/read'
import { type NftRule, rule } from '../nft/rule'
import { daddr, saddr } from '../nft/selector'
import { hasNftables, ifNftables } from '../nft/socket'
import { eq, neq, returnToCaller, type Statement } from '../nft/statement'
import { type NftTransaction, nftUpdate } from '../nft/transaction'
import type { ReadRule } from '../nft/wire/rule'
import type { NftTable } from '../nft/wire/table'
import type { Masquerade } from './masquerade/masquerade'

/** The chain the rules are in. */
type RulePlace = { readonly table: NftTable; readonly chain: string }

/**
 * The rules that meet what an attachment's addresses send to outside their subnets with `statement`, and before that
 * let pass what goes to networks that are exempt.
 */
export const attachmentRules = (masquerade: Masquerade, statement: Statement): NftRule[] => {
  const comment = masqueradeComment(masquerade)
  const rules: NftRule[] = []
  for (const address of masquerade.addresses) {
    const { family } = address.addr
    const from = eq(saddr(family), address.addr)
    for (const network of masquerade.exempt) {
      if (network.addr.family !== family) continue
      rules.push(rule([from, eq(daddr(family), network), returnToCaller()], { comment }))
    }
    rules.push(rule([from, neq(daddr(family), networkOf(address)), statement], { comment }))
  }
  return rules
}

/** The rules of an attachment that are there. */
export const rulesOf = (nl: NetlinkSocket, { table, chain }: RulePlace, id: Attachment): ReadRule[] =>
  ruleListByComment(nl, table, chain, masqueradePrefix(id))

/** Adds an attachment's rules, in place of those it had, say of a DEL that got lost. */
export const replaceRules = (
  nl: NetlinkSocket,
  tx: NftTransaction,
  place: RulePlace,
  { id, rules }: { id: Attachment; rules: readonly NftRule[] },
): void => {
  for (const found of rulesOf(nl, place, id)) tx.deleteRule(place.table, found)
  for (const entry of rules) tx.addRule(place.table, place.chain, entry)
}

/** Removes the rules of an attachment; none there is no failure. */
export const deleteRulesOf = (nl: NetlinkSocket, op: string, place: RulePlace, id: Attachment): void =>
  nftUpdate(nl, op, tx => {
    for (const found of rulesOf(nl, place, id)) tx.deleteRule(place.table, found)
  })

/** The attachments of a network that are there. */
type Valid = { readonly network: string; readonly valid: readonly Attachment[] }

/** Removes the rules of a network's attachments that are not among the valid ones. */
export const deleteStaleRules = (
  nl: NetlinkSocket,
  op: string,
  { table, chain }: RulePlace,
  { network, valid }: Valid,
): void => {
  nftUpdate(nl, op, tx => {
    const there = ruleListByComment(nl, table, chain, masqueradeNetworkPrefix(network))
    if (there.length === 0) return
    const alive = new Set(valid.map(masqueradePrefix))
    for (const found of there)
      if (!alive.has(found.comment.slice(0, masqueradePrefixLength))) tx.deleteRule(table, found)
  })
}

/** The features whose rules only nftables can make. */
const absent = {
  message: 'this kernel has no nf_tables',
  details:
    'load the module nf_tables, or remove "ipMasqBackend": "nftables", "macspoofchk" and "dropInvalid"',
}

/** Runs `work` with a socket to nf_tables. Throws code 999 if the kernel has none. */
export const withNftables = <T>(work: (nl: NetlinkSocket) => T): T => {
  const done = ifNftables(nl => ({ result: work(nl) }))
  if (done) return done.result
  throw new CniError(ErrorCode.internal, absent.message, { details: absent.details })
}

/** Throws code 50 unless the kernel has nf_tables and lets this process ask for them. */
export const probeNftables = (): void => {
  let there: boolean
  try {
    there = hasNftables()
  } catch (error) {
    throw new CniError(ErrorCode.pluginNotAvailable, 'nftables cannot be used', { details: saidBy(error) })
  }
  if (!there) throw new CniError(ErrorCode.pluginNotAvailable, absent.message, { details: absent.details })
}
