/** The parts of a packet that a rule matches: the words that stand left of an operator in nft, named like them. */

import { type Addr, addrBytes, type Family } from '../../ip/addr'
import { type Cidr, networkOf } from '../../ip/cidr'
import type { Mac } from '../../ip/mac'
import type { Needs } from './rule'
import { encodeValue, type L4Protocol, type NftType, type NftValue, typeOf } from './value'
import type { Expression } from './wire/expression'
import {
  metaLoad,
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_OIFNAME,
  NFT_PAYLOAD_LL_HEADER,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  payloadLoad,
} from './wire/match'

/** The type by which a value is compared: `bytes` against as many, of which only those in `mask` count. */
type Operand = { readonly bytes: Buffer; readonly mask?: Buffer | undefined }

/** A field of the packet or of what the kernel knows of it, comparable with values of type V. */
export type Selector<V> = {
  readonly type: NftType
  readonly needs: Needs
  /** The expression that puts the field's first `bytes` into a register. */
  load(dreg: number, bytes: number): Expression
  operand(value: V): Operand
}

const payload = <V extends NftValue>(
  type: NftType,
  needs: Needs,
  at: { base: number; offset: number },
): Selector<V> => ({
  type,
  needs,
  load: (dreg, bytes) => payloadLoad({ ...at, bytes }, dreg),
  operand: value => ({ bytes: encodeValue(type, value) }),
})

const meta = <V extends NftValue>(type: NftType, key: number): Selector<V> => ({
  type,
  needs: {},
  load: dreg => metaLoad(key, dreg),
  operand: value => ({ bytes: encodeValue(type, value) }),
})

const addrOperand = (type: NftType, value: Addr | Cidr): Operand => {
  if (!('prefix' in value)) return { bytes: encodeValue(type, value) }
  const { addr, prefix } = networkOf(value)
  const bytes = encodeValue(type, addr)
  // Whole bytes of a prefix need no mask, only a shorter comparison.
  if (prefix > 0 && prefix % 8 === 0) return { bytes: bytes.subarray(0, prefix / 8) }
  const mask = networkOf({ addr: { family: addr.family, bits: -1n }, prefix }).addr
  return { bytes, mask: addrBytes(mask) }
}

const ipAddr = (family: Family, offset: number): Selector<Addr | Cidr> => {
  const type = family === 4 ? 'ipv4_addr' : 'ipv6_addr'
  const field = payload<Addr>(type, { network: family }, { base: NFT_PAYLOAD_NETWORK_HEADER, offset })
  return { ...field, operand: value => addrOperand(type, value) }
}

// <linux/ip.h>, <linux/ipv6.h>                    offset
// struct iphdr { … __be32 saddr, daddr; }         12, 16
// struct ipv6hdr { … struct in6_addr saddr, daddr; }  8, 24

/** `ip saddr`: the source address of IPv4. */
export const ipSaddr = ipAddr(4, 12)
/** `ip daddr`: the destination address of IPv4. */
export const ipDaddr = ipAddr(4, 16)
/** `ip6 saddr`: the source address of IPv6. */
export const ip6Saddr = ipAddr(6, 8)
/** `ip6 daddr`: the destination address of IPv6. */
export const ip6Daddr = ipAddr(6, 24)

/** `ip saddr` or `ip6 saddr`. */
export const saddr = (family: Family): Selector<Addr | Cidr> => (family === 4 ? ipSaddr : ip6Saddr)
/** `ip daddr` or `ip6 daddr`. */
export const daddr = (family: Family): Selector<Addr | Cidr> => (family === 4 ? ipDaddr : ip6Daddr)

// <linux/if_ether.h>                              offset
// struct ethhdr { unsigned char h_dest[6], h_source[6]; … }  0, 6

const etherAddr = (offset: number): Selector<Mac> =>
  payload('ether_addr', { ether: true }, { base: NFT_PAYLOAD_LL_HEADER, offset })

/** `ether saddr`: the source address of the Ethernet frame. */
export const etherSaddr = etherAddr(6)

// <linux/tcp.h>, <linux/udp.h>, <linux/sctp.h>    offset
// struct …hdr { __be16 source, dest; … }          0, 2

const port = (needs: Needs, offset: number): Selector<number> =>
  payload('inet_service', needs, { base: NFT_PAYLOAD_TRANSPORT_HEADER, offset })

/** `tcp dport`, `udp dport` or `sctp dport`. */
export const dport = (transport: L4Protocol): Selector<number> => port({ transport }, 2)
/** `th dport`: the destination port of whichever protocol; match metaL4proto with it. */
export const thDport = port({}, 2)

/** `meta l4proto`: the transport protocol, behind all IPv6 extension headers. */
export const metaL4proto: Selector<L4Protocol | number> = meta('inet_proto', NFT_META_L4PROTO)
/** `meta mark`: the packet's mark. */
export const metaMark: Selector<number> = meta('mark', NFT_META_MARK)

/** An interface's name; `cali*` is every name that begins with "cali". */
const ifname = (key: number): Selector<string> => ({
  ...meta<string>('ifname', key),
  operand: value => ({
    // As many bytes as are compared: without the NUL the rest of the name may be anything.
    bytes: value.endsWith('*') ? Buffer.from(value.slice(0, -1)) : encodeValue('ifname', value),
  }),
})

/** `iifname`: the interface the packet came in by; of a bridge's frame the port. */
export const iifname = ifname(NFT_META_IIFNAME)
/** `oifname`: the interface the packet leaves by; of a bridge's frame the port. */
export const oifname = ifname(NFT_META_OIFNAME)

/** `meta mark & 0x2000`: some bits of a number, the others read as 0. */
export const and = (selector: Selector<number>, mask: number): Selector<number> => ({
  ...selector,
  operand: value => ({ bytes: selector.operand(value).bytes, mask: selector.operand(mask).bytes }),
})

/** How many bytes of a register the whole field takes up. */
export const selectorBytes = ({ type }: Pick<Selector<never>, 'type'>): number => typeOf(type).bytes
