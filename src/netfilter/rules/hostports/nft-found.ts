/**
 * Finding a container's rules again without reading all rules: the kernel numbers each rule, returns the number
 * to the program that adds it on request, and never gives it to another rule of the table.
 */
import { portComment } from '../../../attachment/nft-comments'
import { addrFromBytes, type Family, formatAddr } from '../../../ip/addr'
import type { Cidr } from '../../../ip/cidr'
import { unlessRefused } from '../../../netlink/error'
import { NETLINK_NETFILTER, type NetlinkSocket, withNetlink } from '../../../netlink/socket'
import { ruleList, ruleListByComment } from '../../nft/read'
import { missingRules } from '../../nft/rule'
import { NFT_PAYLOAD_NETWORK_HEADER, readCmpValue, readPayload } from '../../nft/wire/match'
import { isNftMessage, NFT_MSG_GETRULE, NFT_MSG_NEWRULE, nftRequest } from '../../nft/wire/message'
import { type ReadRule, readRule, ruleHandle } from '../../nft/wire/rule'
import { readImmediate } from '../../nft/wire/statement'
import { type HostPorts, type MissingRule, mappingsOf, type RuleRef } from './hostports'
import { dnatRule, formatDnat, snatRules, tableOf } from './nft-rules'

/** <linux/netlink.h> */
const NLM_F_ECHO = 0x8

/** The part of a socket that reading and changing nftables needs. */
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

/** The part of a rule by which to find it again. */
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

/** <linux/ip.h> and <linux/ipv6.h>: where the destination of a packet is. */
const destination4 = { offset: 16, bytes: 4 }
const destination6 = { offset: 24, bytes: 16 }

const isAddress = (value: Buffer | undefined): value is Buffer =>
  value?.length === destination4.bytes || value?.length === destination6.bytes

const format = (bytes: Buffer | undefined): string | undefined => {
  const addr = bytes && addrFromBytes(bytes)
  return addr && formatAddr(addr)
}

/** The address a rule leads to, or masquerades what is sent to; undefined for a rule that only marks. */
const addressOf = ({ expressions }: ReadRule): string | undefined => {
  const names = expressions.map(({ name }) => name)
  if (names.includes('nat')) return format(expressions.map(readImmediate).find(isAddress))
  if (!names.includes('masq')) return undefined
  const at = expressions.findIndex(expression => {
    const field = readPayload(expression)
    return (
      field?.base === NFT_PAYLOAD_NETWORK_HEADER &&
      [destination4, destination6].some(
        ({ offset, bytes }) => field.offset === offset && field.bytes === bytes,
      )
    )
  })
  const compared = expressions[at + 1]
  return at < 0 || !compared ? undefined : format(readCmpValue(compared))
}

/** A rule, and the address it is about. */
type AddressedRule = { readonly rule: ReadRule; readonly address: string | undefined }

/** The rules of one container in a chain. One that marks stands before the one that leads on, which tells its address. */
export const addressed = (rules: readonly ReadRule[]): AddressedRule[] => {
  let next: string | undefined
  return rules
    .toReversed()
    .map(rule => {
      next = addressOf(rule) ?? next
      return { rule, address: next }
    })
    .toReversed()
}

/** The message about a table with a chain that lacks `missing`. */
const missingRule = ({ addr }: Cidr, chain: string, missing: string): MissingRule => ({
  message: `missing hostport rules in "${chain}" chain`,
  details: `table ${tableOf(addr.family).family} cni_hostport: ${missing}`,
})

const leadsOn = ({ expressions }: ReadRule): boolean => expressions.at(-1)?.name === 'nat'

const missingPorts = (conf: HostPorts, address: Cidr, found: readonly ReadRule[]): MissingRule[] => {
  const { family } = address.addr
  const mappings = mappingsOf(conf, family)
  if (conf.conditions[family].length > 0) {
    // Conditions as nft rewrote them cannot be compared.
    const there = found.filter(leadsOn).length
    return there >= mappings.length
      ? []
      : [missingRule(address, 'hostports', `${there} of ${mappings.length} rules are there`)]
  }
  const wanted = mappings.map(mapping => ({ mapping, ...dnatRule(conf, address, mapping) }))
  return missingRules(found, tableOf(family).family, wanted).map(({ mapping }) =>
    missingRule(address, 'hostports', formatDnat(address, mapping)),
  )
}

const missingOf = (nl: NetlinkSocket, conf: HostPorts, address: Cidr): MissingRule[] => {
  const own = (chain: string): ReadRule[] =>
    ruleListByComment(nl, tableOf(address.addr.family), chain, portComment(conf.containerID)).filter(
      ({ comment }) => comment === portComment(conf.containerID),
    )
  const ports = missingPorts(conf, address, [...own('hostports'), ...own('hostip_hostports')])
  // Theirs and ours differ in what they masquerade, not in how many rules do.
  const wanted = snatRules(conf, address).length
  const there = own('masquerading').length
  return there >= wanted
    ? ports
    : [...ports, missingRule(address, 'masquerading', `${there} of ${wanted} rules are there`)]
}

/** The rules of the container that are not there, ours or the reference's, and those that masquerade. */
export const missing = async (conf: HostPorts): Promise<MissingRule[]> =>
  withNetlink(NETLINK_NETFILTER, nl => conf.addresses.flatMap(address => missingOf(nl, conf, address)))
