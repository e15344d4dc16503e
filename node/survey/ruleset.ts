/** The objects of nftables that belong to attachments: kubenet's elements, and the rules of bridge and portmap. */
import { formatClaim } from '../../src/attachment/host-ports'
import {
  masqueradePrefixLength,
  parseMasqueradeComment,
  spoofCheckPrefix,
} from '../../src/attachment/nft-comments'
import { type Addr, type Family, formatAddr } from '../../src/ip/addr'
import { elementList, ruleList, setList, tableList } from '../../src/netfilter/nft/read'
import type { NftElement } from '../../src/netfilter/nft/set'
import { readCmpValue } from '../../src/netfilter/nft/wire/match'
import { table } from '../../src/netfilter/rules/pods/nft-rules'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { readText } from '../../src/netlink/wire/message'
import { type PortRule, readPortRules } from './port-rules'

/** One element of kubenet's ruleset, with its owner in its comment. */
export type RulesetElement = {
  /** The set or map it is in. */
  readonly set: string
  readonly comment: string
  /** The pod's address: the key of a set of pods, where a port's element leads to. */
  readonly address: string
} & (
  | { readonly kind: 'pod'; readonly network: string }
  | { readonly kind: 'port'; readonly claim: string; readonly containerPort: number }
)

/** A masquerade rule of bridge. The reference's iptables rules name no interface. */
export type MasqueradeRule = {
  readonly by: 'nftables' | 'iptables'
  readonly family: Family | undefined
  readonly network: string
  readonly containerID: string
  readonly ifName: string | undefined
  /** The beginning of its comment, if that was cut off and names only a part of its owner. */
  readonly prefix?: string | undefined
  /** The source it is for; undefined where the rule only ends such a chain. */
  readonly address: string | undefined
  /** "chain masq_checks", "chain CNI-…". */
  readonly where: string
}

/** A check of MACs by bridge: "<containerID>-<ifName>" as its comment has it, and the host's veth it is for. */
export type SpoofCheck = { readonly ref: string; readonly hostName: string }

/** The parts of nftables that a survey needs. */
export type Ruleset = {
  /** All tables there are: "inet kubenet". */
  readonly tables: readonly string[]
  readonly elements: readonly RulesetElement[]
  readonly masquerades: readonly MasqueradeRule[]
  readonly ports: readonly PortRule[]
  readonly spoofChecks: readonly SpoofCheck[]
}

const isAddr = (value: unknown): value is Addr =>
  typeof value === 'object' && value !== null && 'family' in value && 'bits' in value

const textOf = (value: unknown): string => (isAddr(value) ? formatAddr(value) : String(value))

/** "tcp-8080/any4" of a key of hostports4, "tcp-8080/192.0.2.1" of one of hostips4. */
const claimOf = (key: NftElement['key'], family: Family): string => {
  const [first, ...rest] = key
  const [protocol, port] = isAddr(first) ? rest : key
  return formatClaim(textOf(protocol), Number(port), isAddr(first) ? formatAddr(first) : `any${family}`)
}

const readElement = (set: string, { key, data, comment = '' }: NftElement): RulesetElement | undefined => {
  const [, network] = /^pods[46]-(.*)$/.exec(set) ?? []
  if (network !== undefined) return { kind: 'pod', set, network, comment, address: textOf(key[0]) }
  const [, family] = /^host(?:ports|ips)([46])$/.exec(set) ?? []
  if (!family || !data) return undefined
  const claim = claimOf(key, family === '4' ? 4 : 6)
  return { kind: 'port', set, claim, comment, address: textOf(data[0]), containerPort: Number(data[1]) }
}

const readElements = (nl: NetlinkSocket): RulesetElement[] =>
  setList(nl, table)
    .filter(({ name }) => /^(pods|hostports|hostips)[46]/.test(name))
    .flatMap(set => elementList(nl, table, set).flatMap(element => readElement(set.name, element) ?? []))

const masqueradeTable = { family: 'inet', name: 'cni_plugins_masquerade' } as const

// src/netfilter/masquerade-nftables.ts, commentOf; a long one is cut off at its end.
const masqueradeComment = /, net: ([^,]*), if: ([^,]*), id: (.*)$/

const readMasquerades = (nl: NetlinkSocket): MasqueradeRule[] =>
  ruleList(nl, masqueradeTable, 'masq_checks').flatMap(({ comment, expressions }) => {
    const [, network = '', ifName, containerID = ''] = masqueradeComment.exec(comment) ?? []
    if (!containerID) return []
    const sources = expressions.map(readCmpValue).filter(bytes => bytes?.length === 4 || bytes?.length === 16)
    const source = sources.find(bytes => bytes !== undefined)
    const family = source?.length === 16 ? 6 : 4
    const address = source && formatAddr({ family, bits: BigInt(`0x${source.toString('hex')}`) })
    const prefix = parseMasqueradeComment(comment) ? undefined : comment.slice(0, masqueradePrefixLength)
    const where = 'chain masq_checks'
    return [{ by: 'nftables', family, network, containerID, ifName, prefix, address, where }]
  })

const spoofTable = { family: 'bridge', name: 'nat' } as const

const readSpoofChecks = (nl: NetlinkSocket): SpoofCheck[] =>
  ruleList(nl, spoofTable, 'PREROUTING')
    .filter(({ comment }) => comment.startsWith(spoofCheckPrefix))
    .map(({ comment, expressions }) => {
      const name = expressions.map(readCmpValue).find(bytes => bytes !== undefined)
      return { ref: comment.slice(spoofCheckPrefix.length), hostName: readText(name) }
    })

/** Reads nftables. Needs CAP_NET_ADMIN. */
export const readRuleset = (nl: NetlinkSocket): Ruleset => ({
  tables: tableList(nl).map(({ family, name }) => `${family} ${name}`),
  elements: readElements(nl),
  masquerades: readMasquerades(nl),
  ports: readPortRules(nl),
  spoofChecks: readSpoofChecks(nl),
})
