import type { Family } from '../../ip/addr'
import {
  type Attributes,
  type NftAttribute,
  putU8,
  putU16be,
  readAttributes,
  readText,
} from '../../netlink/wire/message'
import type { Statement } from './statement'
import { type L4Protocol, l4Protocols } from './value'
import { type Expression, NFT_REG_1, type ReadExpression } from './wire/expression'
import {
  cmp,
  metaLoad,
  NFT_CMP_EQ,
  NFT_META_IIFTYPE,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_META_PROTOCOL,
} from './wire/match'
import { NFPROTO_IPV4, NFPROTO_IPV6, type NftFamily } from './wire/message'
import type { ReadRule } from './wire/rule'

/** A rule to add: its steps in order, and a note by which it is found again. */
export type NftRule = { readonly statements: readonly Statement[]; readonly comment?: string | undefined }

/**
 * A rule of conditions and what to do then. The comment has at most 128 bytes.
 * `rule([eq(ipSaddr, addr), neq(ipDaddr, cidr), masquerade()], { comment: 'c0ffee' })` is
 * `ip saddr 10.0.0.2 ip daddr != 10.0.0.0/24 masquerade comment "c0ffee"`.
 */
export const rule = (
  statements: readonly Statement[],
  { comment }: { comment?: string | undefined } = {},
): NftRule => ({ statements, comment })

/** The rule's expressions in a table of that family, with the matches its headers depend on. */
export const ruleExpressions = (family: NftFamily, { statements }: NftRule): Expression[] => {
  const context = new RuleContext(family)
  const expressions: Expression[] = []
  for (const statement of statements) expressions.push(...statement(context))
  return expressions
}

// The checks of a rule before it may read a header: in a table of family inet a packet may be of either version of IP,
// and bytes of a transport header mean nothing before its protocol is known. nft puts these matches in unasked and
// leaves them out again when it lists the rule; so does this.

/** <linux/if_ether.h> and <linux/if_arp.h> */
const ETH_P_IP = 0x0800
const ETH_P_IPV6 = 0x86dd
const ARPHRD_ETHER = 1

/** The protocols whose header is read. */
export type Needs = { readonly ether?: true; readonly network?: Family; readonly transport?: L4Protocol }

const metaEquals = (key: number, value: Uint8Array): Expression[] => [
  metaLoad(key, NFT_REG_1),
  cmp(NFT_REG_1, NFT_CMP_EQ, value),
]

/** The known facts of the packet at one place of a rule. */
export class RuleContext {
  readonly family: NftFamily
  #ether: boolean
  #network: Family | undefined
  #transport: L4Protocol | undefined

  constructor(family: NftFamily) {
    this.family = family
    this.#ether = family === 'bridge'
    this.#network = family === 'ip' ? 4 : family === 'ip6' ? 6 : undefined
  }

  /** The matches that are still missing before these headers may be read. Throws for headers that exclude another. */
  require({ ether, network, transport }: Needs): Expression[] {
    return [
      ...(ether ? this.#requireEther() : []),
      ...(network ? this.#requireNetwork(network) : []),
      ...(transport ? this.#requireTransport(transport) : []),
    ]
  }

  #requireEther(): Expression[] {
    if (this.#ether) return []
    this.#ether = true
    return metaEquals(NFT_META_IIFTYPE, Buffer.from([ARPHRD_ETHER, 0]))
  }

  #requireNetwork(network: Family): Expression[] {
    if (this.#network === network) return []
    if (this.#network) throw new TypeError(`a match of IPv${network} in a rule of IPv${this.#network}`)
    this.#network = network
    const v4 = network === 4
    return this.family === 'bridge'
      ? metaEquals(NFT_META_PROTOCOL, putU16be(v4 ? ETH_P_IP : ETH_P_IPV6))
      : metaEquals(NFT_META_NFPROTO, putU8(v4 ? NFPROTO_IPV4 : NFPROTO_IPV6))
  }

  #requireTransport(transport: L4Protocol): Expression[] {
    if (this.#transport === transport) return []
    if (this.#transport) throw new TypeError(`a match of ${transport} in a rule of ${this.#transport}`)
    this.#transport = transport
    return metaEquals(NFT_META_L4PROTO, putU8(l4Protocols[transport]))
  }
}

const hasValue = (found: Buffer | undefined, value: NftAttribute[1]): boolean => {
  if (value === undefined) return true
  if (found === undefined) return false
  if (typeof value === 'number') return found.length === 4 && found.readUInt32BE(0) === value >>> 0
  if (typeof value === 'string') return readText(found) === value
  if (value instanceof Uint8Array) return found.equals(value)
  return hasAll(readAttributes(found), value)
}

/** Are all attributes there? The kernel lists some besides, which it fills in itself. */
const hasAll = (found: Attributes, wanted: readonly NftAttribute[]): boolean =>
  wanted.every(([type, value]) => hasValue(found.get(type), value))

/** <linux/netfilter/nf_tables.h>: to these flags of "nat" the kernel adds what the registers imply. */
const NFTA_NAT_FLAGS = 7

const comparable = ({ name, attributes }: Expression): NftAttribute[] =>
  attributes.filter(([type]) => name !== 'nat' || type !== NFTA_NAT_FLAGS)

const areSteps = (found: readonly ReadExpression[], wanted: readonly Expression[]): boolean =>
  found.length === wanted.length &&
  wanted.every((expression, i) => {
    const step = found[i]
    return step?.name === expression.name && hasAll(step.attributes, comparable(expression))
  })

/**
 * The rules that are not among those the kernel lists, whatever their comments. Rules that stand in the order they
 * were added in are found at the first look.
 */
export const missingRules = <T extends { readonly rule: NftRule }>(
  found: readonly ReadRule[],
  family: NftFamily,
  wanted: readonly T[],
): T[] => {
  const steps = found.map(({ expressions }) => expressions)
  let next = 0
  return wanted.filter(({ rule }) => {
    const expressions = ruleExpressions(family, rule)
    for (let tried = 0; tried < steps.length; tried++) {
      const at = (next + tried) % steps.length
      if (!areSteps(steps[at] ?? [], expressions)) continue
      next = at + 1
      return false
    }
    return true
  })
}

/** Are these exactly the rules of a chain, in this order? */
export const areRules = (
  found: readonly ReadRule[],
  family: NftFamily,
  wanted: readonly NftRule[],
): boolean =>
  found.length === wanted.length &&
  wanted.every((rule, i) => areSteps(found[i]?.expressions ?? [], ruleExpressions(family, rule)))
