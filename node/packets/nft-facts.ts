/** What a rule of nftables can load of a packet, in the bytes that the kernel has for it. */
import { addrBytes, parseAddr } from '../../src/ip/addr'
import {
  NFT_CT_STATE,
  NFT_CT_STATUS,
  NFT_META_IIFNAME,
  NFT_META_IIFTYPE,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_META_OIFNAME,
  NFT_META_PROTOCOL,
  NFT_PAYLOAD_LL_HEADER,
  NFT_PAYLOAD_NETWORK_HEADER,
} from '../../src/netfilter/nft/wire/match'
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../src/netfilter/nft/wire/message'
import { putU32 } from '../../src/netlink/wire/message'
import type { Packet } from './packet'
import { type Bytes, unknownBytes } from './registers'

/** <linux/netfilter/nf_tables.h>, enum nft_meta_keys: those that only reading rules needs. */
const NFT_META_IIF = 4
const NFT_META_OIF = 5
const NFT_META_OIFTYPE = 9
const NFT_META_BRI_IIFNAME = 17
const NFT_META_BRI_OIFNAME = 18

/** <linux/if.h>, <linux/if_arp.h>, <linux/in.h> */
const IFNAMSIZ = 16
const ARPHRD_ETHER = 1
const protocols = { tcp: 6, udp: 17 } as const

/** <linux/netfilter/nf_conntrack_common.h>: NF_CT_STATE_BIT of the two states, and IPS_* of an answered connection. */
const states = { NEW: 1 << 3, ESTABLISHED: 1 << 1 } as const
const IPS_SEEN_REPLY = 1 << 1
const IPS_CONFIRMED = 1 << 3

const etherTypes = { 4: [0x08, 0x00], 6: [0x86, 0xdd] } as const

const macBytes = (mac: string | undefined): Bytes =>
  mac === undefined ? unknownBytes(6) : mac.split(':').map(byte => Number.parseInt(byte, 16))

const nameBytes = (name: string | undefined): Bytes =>
  name === undefined ? unknownBytes(IFNAMSIZ) : [...Buffer.from(name.padEnd(IFNAMSIZ, '\0'))]

const addressBytes = (text: string | undefined, count: number): Bytes => {
  const addr = text === undefined ? undefined : parseAddr(text)
  return addr ? [...addrBytes(addr)] : unknownBytes(count)
}

// The fields that rules ask for: RFC 791, section 3.1, and RFC 8200, section 3.
const ipv4Header = ({ protocol, src, dst }: Packet): Bytes => [
  0x45,
  ...unknownBytes(8),
  protocols[protocol],
  ...unknownBytes(2),
  ...addressBytes(src, 4),
  ...addressBytes(dst, 4),
]

const ipv6Header = ({ protocol, src, dst }: Packet): Bytes => [
  ...unknownBytes(6),
  protocols[protocol],
  ...unknownBytes(1),
  ...addressBytes(src, 16),
  ...addressBytes(dst, 16),
]

/** IEEE 802.3: of frames on a bridge alone, as those of routed packets are on their way of one interface. */
const etherHeader = ({ frame, family }: Packet): Bytes =>
  frame ? [...macBytes(frame.dstMac), ...macBytes(frame.srcMac), ...etherTypes[family]] : []

const headerAt = (base: number, packet: Packet): Bytes => {
  if (base === NFT_PAYLOAD_LL_HEADER) return etherHeader(packet)
  if (base !== NFT_PAYLOAD_NETWORK_HEADER) return []
  return packet.family === 4 ? ipv4Header(packet) : ipv6Header(packet)
}

/** Bytes of one of a packet's headers. */
export const payloadOf = (packet: Packet, field: { base: number; offset: number; bytes: number }): Bytes => {
  const { base, offset, bytes } = field
  const header = headerAt(base, packet)
  return [...header.slice(offset, offset + bytes), ...unknownBytes(bytes)].slice(0, bytes)
}

const indexBytes = (name: string | undefined, indexOf: (name: string) => number | undefined): Bytes => {
  const index = name === undefined ? undefined : name === '' ? 0 : indexOf(name)
  return index === undefined ? unknownBytes(4) : [...putU32(index)]
}

/** A fact of a packet by its number among NFT_META_*. */
export const metaOf = (packet: Packet, key: number, indexOf: (name: string) => number | undefined): Bytes => {
  const { family, protocol, frame, mark } = packet
  switch (key) {
    case NFT_META_PROTOCOL:
      return etherTypes[family]
    case NFT_META_NFPROTO:
      return [family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6]
    case NFT_META_L4PROTO:
      return [protocols[protocol]]
    // Packets of containers come without one.
    case NFT_META_MARK:
      return mark.isZero ? [0, 0, 0, 0] : unknownBytes(4)
    case NFT_META_IIFNAME:
      return nameBytes(packet.in)
    case NFT_META_OIFNAME:
      return nameBytes(packet.out)
    case NFT_META_BRI_IIFNAME:
      return nameBytes(packet.in === '' ? '' : frame?.bridge)
    case NFT_META_BRI_OIFNAME:
      return nameBytes(packet.out === '' ? '' : frame?.bridge)
    case NFT_META_IIF:
      return indexBytes(packet.in, indexOf)
    case NFT_META_OIF:
      return indexBytes(packet.out, indexOf)
    case NFT_META_IIFTYPE:
    case NFT_META_OIFTYPE:
      return [ARPHRD_ETHER, 0]
    default:
      return unknownBytes(4)
  }
}

/** A fact of a packet's connection, whose addresses are not translated, by its number among NFT_CT_*. */
export const ctOf = ({ ctstate }: Packet, key: number): Bytes => {
  if (key === NFT_CT_STATE) return [...putU32(states[ctstate])]
  if (key !== NFT_CT_STATUS) return unknownBytes(4)
  return [...putU32(ctstate === 'NEW' ? 0 : IPS_SEEN_REPLY | IPS_CONFIRMED)]
}
