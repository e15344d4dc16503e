/**
 * The statements of a rule: its conditions, each of which ends the rule for packets that do not meet it, and its actions.
 */

import { type Addr, addrBytes, type Family } from '../../ip/addr'
import { putU16be, putU32 } from '../../netlink/wire/message'
import type { RuleContext } from './rule'
import { type Selector, selectorBytes } from './selector'
import type { NftSet } from './set'
import { typeOf } from './value'
import { type Expression, NFT_REG_1, NFT_REG_2, registerAt, registerBytes } from './wire/expression'
import {
  bitwise,
  cmp,
  ctLoad,
  fib,
  lookup,
  metaLoad,
  metaSet,
  NFT_CMP_EQ,
  NFT_CMP_NEQ,
  NFT_CT_STATE,
  NFT_CT_STATUS,
  NFT_FIB_RESULT_ADDRTYPE,
  NFT_META_MARK,
  NFTA_FIB_F_DADDR,
} from './wire/match'
import { NFPROTO_IPV4, NFPROTO_IPV6 } from './wire/message'
import {
  immediate,
  immediateVerdict,
  masq,
  NF_ACCEPT,
  NF_DROP,
  NF_NAT_RANGE_PROTO_RANDOM,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NF_NAT_RANGE_PROTO_SPECIFIED,
  NFT_GOTO,
  NFT_JUMP,
  NFT_NAT_DNAT,
  NFT_RETURN,
  nat,
} from './wire/statement'

/** A step of a rule: the expressions it is made of at its place in the rule. */
export type Statement = (context: RuleContext) => Expression[]

const compare = <V>(selector: Selector<V>, op: number, value: V): Statement => {
  const { bytes, mask } = selector.operand(value)
  return context => [
    ...context.require(selector.needs),
    selector.load(NFT_REG_1, bytes.length),
    ...(mask ? [bitwise(NFT_REG_1, mask, Buffer.alloc(mask.length))] : []),
    cmp(NFT_REG_1, op, bytes),
  ]
}

/**
 * The field has this value. `eq(ipSaddr, cidr)` is `ip saddr 10.0.0.0/8`, `eq(iifname, 'eth0')` is `iifname "eth0"`,
 * `eq(and(metaMark, 0x2000), 0x2000)` is `meta mark & 0x2000 == 0x2000`. Throws a TypeError for a value that the field
 * cannot have.
 */
export const eq = <V>(selector: Selector<V>, value: NoInfer<V>): Statement =>
  compare(selector, NFT_CMP_EQ, value)

/** The field has another value. `neq(ipDaddr, cidr)` is `ip daddr != 10.0.0.0/8`. */
export const neq = <V>(selector: Selector<V>, value: NoInfer<V>): Statement =>
  compare(selector, NFT_CMP_NEQ, value)

/** Fields side by side as a key of a set. */
export type Key = readonly Pick<Selector<never>, 'type' | 'needs' | 'load'>[]

/** Loads the fields side by side into registers, from NFT_REG_1 on. Throws a TypeError if they do not fit the set. */
const loadKey = (context: RuleContext, key: Key, set: NftSet): Expression[] => {
  if (key.length !== set.key.length || key.some(({ type }, i) => type !== set.key[i])) {
    const types = key.map(({ type }) => type).join(' . ')
    throw new TypeError(`a lookup of ${types} in "${set.name}" of ${set.key.join(' . ')}`)
  }
  const expressions: Expression[] = []
  for (const { needs } of key) expressions.push(...context.require(needs))
  let offset = 0
  for (const selector of key) {
    expressions.push(selector.load(registerAt(offset), selectorBytes(selector)))
    offset += registerBytes(selectorBytes(selector))
  }
  return expressions
}

const lookupIn = (key: Key, set: NftSet, inverse: boolean): Statement => {
  return context => [...loadKey(context, key, set), lookup(NFT_REG_1, set.name, { inverse })]
}

/** The fields are in the set. `inSet([ipSaddr, thDport], set)` is `ip saddr . th dport @set`. */
export const inSet = (key: Key, set: NftSet): Statement => lookupIn(key, set, false)

/** The fields are not in the set. `notInSet([ipDaddr], set)` is `ip daddr != @set`. */
export const notInSet = (key: Key, set: NftSet): Statement => lookupIn(key, set, true)

/** <linux/rtnetlink.h>, RTN_*: the kinds of addresses by their names in nft. */
const addressTypes = { unicast: 1, local: 2, broadcast: 3, multicast: 5 } as const

/** A kind of address as the routing table tells it; "local" is one of the node's own. */
type AddressType = keyof typeof addressTypes

const fibType = (flags: number, op: number, type: AddressType): Statement => {
  return () => [
    fib(flags, NFT_FIB_RESULT_ADDRTYPE, NFT_REG_1),
    cmp(NFT_REG_1, op, putU32(addressTypes[type])),
  ]
}

/** `fib daddr type local` */
export const fibDaddrType = (type: AddressType): Statement => fibType(NFTA_FIB_F_DADDR, NFT_CMP_EQ, type)

/** <linux/netfilter/nf_conntrack_common.h>, NF_CT_STATE_*_BIT as nft names and shifts them. */
const ctStates = {
  invalid: 1 << 0,
  established: 1 << 1,
  related: 1 << 2,
  new: 1 << 3,
  untracked: 1 << 6,
} as const

/** enum ip_conntrack_status, IPS_SRC_NAT and IPS_DST_NAT. */
const ctStatuses = { snat: 1 << 4, dnat: 1 << 5 } as const

const anyBit = (key: number, bits: number): Statement => {
  return () => [
    ctLoad(key, NFT_REG_1),
    bitwise(NFT_REG_1, putU32(bits), putU32(0)),
    cmp(NFT_REG_1, NFT_CMP_NEQ, putU32(0)),
  ]
}

/** The connection is in one of these states. `ct state established,related` */
export const ctState = (...states: readonly (keyof typeof ctStates)[]): Statement =>
  anyBit(
    NFT_CT_STATE,
    states.reduce((bits, state) => bits | ctStates[state], 0),
  )

/** The connection's source or destination is translated. `ct status dnat` */
export const ctStatus = (status: keyof typeof ctStatuses): Statement =>
  anyBit(NFT_CT_STATUS, ctStatuses[status])

// The actions of a rule on a packet that met its conditions.

const verdict = (code: number, chain?: string): Statement => {
  return () => [immediateVerdict(code, chain)]
}

/** `accept`: lets the packet pass the hook; chains of higher priority still see it. */
export const accept = (): Statement => verdict(NF_ACCEPT)
/** `drop`: ends the packet. */
export const drop = (): Statement => verdict(NF_DROP)
/** `return`: goes on behind the jump that led into the chain, in a base chain with its policy. */
export const returnToCaller = (): Statement => verdict(NFT_RETURN)
/** `jump $chain`: goes through the chain and comes back. */
export const jump = (chain: string): Statement => verdict(NFT_JUMP, chain)
/** `goto $chain`: goes through the chain and does not come back here. */
export const goto = (chain: string): Statement => verdict(NFT_GOTO, chain)

/** Sets these bits of the mark. `meta mark set meta mark | 0x2000` */
export const setMarkBits = (bits: number): Statement => {
  return () => [
    metaLoad(NFT_META_MARK, NFT_REG_1),
    bitwise(NFT_REG_1, putU32(~bits >>> 0), putU32(bits)),
    metaSet(NFT_META_MARK, NFT_REG_1),
  ]
}

/** How the kernel chooses the source port of a masqueraded connection. */
type MasqueradeOptions = { readonly random?: boolean; readonly fullyRandom?: boolean }

/** `masquerade [random] [fully-random]`: in a chain of type nat at postrouting. */
export const masquerade = ({ random, fullyRandom }: MasqueradeOptions = {}): Statement => {
  const flags = (random ? NF_NAT_RANGE_PROTO_RANDOM : 0) | (fullyRandom ? NF_NAT_RANGE_PROTO_RANDOM_FULLY : 0)
  return () => [masq(flags)]
}

const nfproto = (family: Family): number => (family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6)

/**
 * `dnat ip to 10.0.0.2:80`, without a port `dnat ip to 10.0.0.2`: in a chain of type nat at prerouting or output.
 * Before a port the rule must match a transport protocol, or nft cannot read it back.
 */
export const dnatTo = (addr: Addr, port?: number): Statement => {
  return () => [
    immediate(NFT_REG_1, addrBytes(addr)),
    ...(port === undefined ? [] : [immediate(NFT_REG_2, putU16be(port))]),
    nat({
      type: NFT_NAT_DNAT,
      nfproto: nfproto(addr.family),
      addrRegister: NFT_REG_1,
      portRegister: port === undefined ? undefined : NFT_REG_2,
      flags: port === undefined ? 0 : NF_NAT_RANGE_PROTO_SPECIFIED,
    }),
  ]
}

/**
 * Takes the new destination from a map of `… : ipv4_addr . inet_service`, or of addresses alone; packets whose key is
 * not in it go on with the next rule. `dnatToMap([metaL4proto, thDport], map)` is
 * `dnat ip to meta l4proto . th dport map @map`.
 */
export const dnatToMap = (key: Key, map: NftSet): Statement => {
  const [addrType, portType, ...more] = map.data ?? []
  const isAddress = addrType === 'ipv4_addr' || addrType === 'ipv6_addr'
  if (!isAddress || (portType && portType !== 'inet_service') || more.length > 0) {
    throw new TypeError(`dnat to ${map.data?.join(' . ') ?? 'nothing'} of "${map.name}"`)
  }
  return context => [
    ...loadKey(context, key, map),
    lookup(NFT_REG_1, map.name, { dreg: NFT_REG_1 }),
    nat({
      type: NFT_NAT_DNAT,
      nfproto: addrType === 'ipv4_addr' ? NFPROTO_IPV4 : NFPROTO_IPV6,
      addrRegister: NFT_REG_1,
      portRegister: portType && registerAt(registerBytes(typeOf(addrType).bytes)),
    }),
  ]
}
