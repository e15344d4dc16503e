/**
 * Finding a container's rules again without reading everybody's: the kernel numbers each rule, tells the number to
 * whoever adds it and asks to hear it, and never gives it to another rule of the table.
 */

import type { RuleRef } from '../../../../plugins/portmap/owners'
import type { Family } from '../../../ip/addr'
import { unlessRefused } from '../../../netlink/error'
import type { NetlinkSocket } from '../../../netlink/socket'
import { ruleList } from '../../nft/read'
import { isNftMessage, NFT_MSG_GETRULE, NFT_MSG_NEWRULE, nftRequest } from '../../nft/wire/message'
import { type ReadRule, readRule, ruleHandle } from '../../nft/wire/rule'
import { tableOf } from './nft-rules'

/** <linux/netlink.h> */
const NLM_F_ECHO = 0x8

/** What of a socket reading and changing nftables needs. */
export type NftSocket = Pick<NetlinkSocket, 'request' | 'dump' | 'exchange'>

/** A socket that calls `heard` with the rules of each batch that was applied, as the kernel has them now. */
export const echoing = (nl: NftSocket, heard: (rules: ReadRule[]) => void): NftSocket => ({
  request: (op, request) => nl.request(op, request),
  dump: (op, request, filter) => nl.dump(op, request, filter),
  exchange: (op, requests) => {
    const asking = requests.map(request =>
      isNftMessage(request.type, NFT_MSG_NEWRULE)
        ? { ...request, flags: (request.flags ?? 0) | NLM_F_ECHO }
        : request,
    )
    const answer = nl.exchange(op, asking)
    const rules = answer.replies.filter(({ type }) => isNftMessage(type, NFT_MSG_NEWRULE))
    heard(rules.map(({ data }) => readRule(data)))
    return answer
  },
})

/** What to keep of a rule to find it again. */
export const refOf = (family: Family, { chain, handle }: ReadRule): RuleRef => ({
  family,
  chain,
  handle: String(handle),
})

// So many single questions cost as much as reading a chain of some thousand rules.
const manyRules = 64

const ruleOf = (nl: NftSocket, { family, chain, handle }: RuleRef): ReadRule[] => {
  const table = tableOf(family)
  const op = `look up rule ${handle} of chain "${chain}"`
  const request = nftRequest(NFT_MSG_GETRULE, table.family, ruleHandle(table.name, chain, BigInt(handle)))
  const replies = unlessRefused(['ENOENT'], () => nl.request(op, request)) ?? []
  return replies.filter(({ type }) => isNftMessage(type, NFT_MSG_NEWRULE)).map(({ data }) => readRule(data))
}

/** Those of the rules that are there. A table that was deleted and made again numbers from the start: look at comments. */
export const rulesAt = (nl: NftSocket, family: Family, refs: readonly RuleRef[]): ReadRule[] => {
  const own = refs.filter(ref => ref.family === family)
  if (own.length <= manyRules) return own.flatMap(ref => ruleOf(nl, ref))
  const chains = [...new Set(own.map(({ chain }) => chain))]
  const wanted = new Set(own.map(({ chain, handle }) => `${chain} ${handle}`))
  return chains
    .flatMap(chain => ruleList(nl, tableOf(family), chain))
    .filter(({ chain, handle }) => wanted.has(`${chain} ${handle}`))
}
