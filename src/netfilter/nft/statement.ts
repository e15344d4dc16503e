/** The action of a rule on a packet that met its conditions. */

import { type Addr, addrBytes, type Family } from '../../ip/addr'
import { putU16be, putU32 } from '../../netlink/wire/message'
import { type Key, loadKey, type Statement } from './match'
import type { NftSet } from './set'
import { typeOf } from './value'
import { NFT_REG_1, NFT_REG_2, registerAt, registerBytes } from './wire/expression'
import { bitwise, lookup, metaLoad, metaSet, NFT_META_MARK } from './wire/match'
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
