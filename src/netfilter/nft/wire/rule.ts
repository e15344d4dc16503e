import type { NftAttribute } from '../../../netlink/wire/message'
import { type Expression, putExpressions, type ReadExpression, readExpressions, readName } from './expression'
import {
  NFTNL_UDATA_COMMENT,
  putComment,
  putUserdata,
  readComment,
  readNftAttributes,
  readUserdata,
} from './message'

/** <linux/netfilter/nf_tables.h>, enum nft_rule_attributes */
const NFTA_RULE_TABLE = 1
const NFTA_RULE_CHAIN = 2
const NFTA_RULE_HANDLE = 3
const NFTA_RULE_EXPRESSIONS = 4
const NFTA_RULE_USERDATA = 7

/** A rule as the kernel lists it. */
export type ReadRule = {
  readonly table: string
  readonly chain: string
  /** The number by which it is deleted; the kernel never gives it to another rule of the table. */
  readonly handle: bigint
  readonly comment: string
  /** Its steps, decoded when they are asked for: most rules are only looked at for their comment. */
  readonly expressions: readonly ReadExpression[]
}

// nfgenmsg
//   NFTA_RULE_TABLE, NFTA_RULE_CHAIN (string)     the chain may be absent when rules are listed
export const ruleKey = (table: string, chain?: string): NftAttribute[] => [
  [NFTA_RULE_TABLE, table],
  [NFTA_RULE_CHAIN, chain],
]

// nfgenmsg
//   NFTA_RULE_TABLE, NFTA_RULE_CHAIN (string)
//   NFTA_RULE_HANDLE (be64)
export const ruleHandle = (table: string, chain: string, handle: bigint): NftAttribute[] => {
  const number = Buffer.alloc(8)
  number.writeBigUInt64BE(handle)
  return [...ruleKey(table, chain), [NFTA_RULE_HANDLE, number]]
}

// nfgenmsg
//   NFTA_RULE_TABLE, NFTA_RULE_CHAIN (string)
//   NFTA_RULE_EXPRESSIONS (nest, see expression.ts)
//   NFTA_RULE_USERDATA (userdata: comment)
export const ruleAttributes = (
  table: string,
  chain: string,
  rule: { expressions: readonly Expression[]; comment?: string | undefined },
): NftAttribute[] => [
  ...ruleKey(table, chain),
  [NFTA_RULE_EXPRESSIONS, putExpressions(rule.expressions)],
  [NFTA_RULE_USERDATA, putUserdata([[NFTNL_UDATA_COMMENT, putComment(rule.comment)]])],
]

/** The rule of an NFT_MSG_NEWRULE. Throws if its handle is missing or anything in it is cut off, as do its steps. */
export const readRule = (body: Buffer): ReadRule => {
  const attributes = readNftAttributes(body)
  const handle = attributes.get(NFTA_RULE_HANDLE)
  if (handle?.length !== 8) throw new Error('Missing handle')
  const userdata = readUserdata(attributes.get(NFTA_RULE_USERDATA))
  return {
    table: readName(attributes.get(NFTA_RULE_TABLE)),
    chain: readName(attributes.get(NFTA_RULE_CHAIN)),
    handle: handle.readBigUInt64BE(0),
    comment: readComment(userdata.get(NFTNL_UDATA_COMMENT)),
    get expressions() {
      return readExpressions(attributes.get(NFTA_RULE_EXPRESSIONS))
    },
  }
}
