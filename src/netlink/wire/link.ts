import { formatMac } from '../../ip/mac'
import {
  type Attributes,
  type EntryFilter,
  readAttributes,
  readIndex,
  readIndexAt,
  readNumber,
  readText,
} from './message'

/** <linux/rtnetlink.h> */
export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18
export const RTM_SETLINK = 19
export const RTNLGRP_LINK = 1
export const RTEXT_FILTER_SKIP_STATS = 1 << 3

/** <linux/if.h> */
export const IFF_UP = 1 << 0
export const IFF_LOOPBACK = 1 << 3
export const IFF_POINTOPOINT = 1 << 4
const IFF_NOARP = 1 << 7
export const IFF_PROMISC = 1 << 8
export const IF_OPER_UP = 6

/** <linux/if_link.h> */
export const IFLA_ADDRESS = 1
export const IFLA_IFNAME = 3
export const IFLA_MTU = 4
const IFLA_LINK = 5
export const IFLA_MASTER = 10
const IFLA_OPERSTATE = 16
export const IFLA_LINKINFO = 18
export const IFLA_NET_NS_FD = 28
export const IFLA_IFALIAS = 20
export const IFLA_GROUP = 27
export const IFLA_EXT_MASK = 29
const IFLA_PROMISCUITY = 30
export const IFLA_LINK_NETNSID = 37
export const IFLA_AF_SPEC = 26
export const IFLA_INFO_KIND = 1
export const IFLA_INFO_DATA = 2
export const IFLA_INFO_SLAVE_KIND = 4
export const IFLA_INFO_SLAVE_DATA = 5
export const IFLA_BR_VLAN_FILTERING = 7
export const IFLA_BRPORT_MODE = 4
export const IFLA_BRPORT_ISOLATED = 33
export const VETH_INFO_PEER = 1

/** A network interface as the kernel describes it. */
export type Link = {
  readonly index: number
  readonly name: string
  /** "veth", "bridge", "ifb", …; "" for hardware and the loopback device. */
  readonly kind: string
  /** The IFF_* flags. */
  readonly flags: number
  readonly mtu: number
  /** Lower-case; "" for a device without one. */
  readonly mac: string
  /** The ifindex of the bridge or bond it is a port of; 0 for none. */
  readonly master: number
  /** IFLA_LINK: a veth's peer, in the namespace where the peer is; 0 if there is none or it is gone. */
  readonly peer: number
  /** IFLA_LINK_NETNSID: the number this namespace knows that namespace by; undefined if it is this one. */
  readonly peerNetnsId: number | undefined
  /** RFC 2863's state as a number; IF_OPER_UP is 6. */
  readonly operState: number
  /** How many wanted promiscuous mode. */
  readonly promiscuity: number
  readonly alias: string
  readonly group: number
  /** A bridge's: does it tell VLANs apart? */
  readonly vlanFiltering: boolean
  /** A bridge port's: may a frame leave by the port it came in? */
  readonly hairpin: boolean
  /** A bridge port's: is it kept from the other isolated ports? */
  readonly isolated: boolean
}

// <linux/rtnetlink.h>                             offset
// struct ifinfomsg {
//   unsigned char ifi_family, pad;                0
//   unsigned short ifi_type;                      2
//   int ifi_index;                                4
//   unsigned ifi_flags, ifi_change;               8, 12
// };                                              16 bytes
const SIZEOF_IFINFOMSG = 16

export type IfInfo = { family?: number; index?: number; flags?: number; change?: number }

export const ifInfoMsg = ({ family = 0, index = 0, flags = 0, change = 0 }: IfInfo): Buffer => {
  const header = Buffer.alloc(SIZEOF_IFINFOMSG)
  header[0] = family
  header.writeInt32LE(index, 4)
  header.writeUInt32LE(flags, 8)
  header.writeUInt32LE(change, 12)
  return header
}

const nested = (data: Buffer | undefined): Attributes | undefined => data && readAttributes(data)

/** The interface that an RTM_NEWLINK message describes. */
export const readLink = (body: Buffer): Link => {
  const attributes = readAttributes(body, SIZEOF_IFINFOMSG)
  const number = (type: number) => readNumber(attributes.get(type)) ?? 0
  const mac = attributes.get(IFLA_ADDRESS)
  const info = nested(attributes.get(IFLA_LINKINFO))
  const kind = readText(info?.get(IFLA_INFO_KIND))
  const data = kind === 'bridge' ? nested(info?.get(IFLA_INFO_DATA)) : undefined
  const isPort = readText(info?.get(IFLA_INFO_SLAVE_KIND)) === 'bridge'
  const port = isPort ? nested(info?.get(IFLA_INFO_SLAVE_DATA)) : undefined
  return {
    index: readIndexAt(body, 4),
    name: readText(attributes.get(IFLA_IFNAME)),
    kind,
    flags: body.readUInt32LE(8),
    mtu: number(IFLA_MTU),
    mac: mac ? formatMac(mac) : '',
    master: readIndex(attributes.get(IFLA_MASTER)),
    peer: readIndex(attributes.get(IFLA_LINK)),
    peerNetnsId: attributes.get(IFLA_LINK_NETNSID)?.readInt32LE(0),
    operState: number(IFLA_OPERSTATE),
    promiscuity: number(IFLA_PROMISCUITY),
    alias: readText(attributes.get(IFLA_IFALIAS)),
    group: number(IFLA_GROUP),
    vlanFiltering: readNumber(data?.get(IFLA_BR_VLAN_FILTERING)) === 1,
    hairpin: readNumber(port?.get(IFLA_BRPORT_MODE)) === 1,
    isolated: readNumber(port?.get(IFLA_BRPORT_ISOLATED)) === 1,
  }
}

/** <linux/if_link.h>, <linux/socket.h> */
const IFLA_INET_CONF = 1
const AF_INET = 2

/**
 * The value of net.ipv4.conf.<interface>.<key> in an RTM_NEWLINK message, by the key's number (enum in <linux/ip.h>);
 * undefined if the interface has no IPv4, or the kernel no such key.
 */
export const readInetConf = (body: Buffer, key: number): number | undefined => {
  const families = nested(readAttributes(body, SIZEOF_IFINFOMSG).get(IFLA_AF_SPEC))
  const values = nested(families?.get(AF_INET))?.get(IFLA_INET_CONF)
  return values && values.length >= key * 4 ? values.readInt32LE((key - 1) * 4) : undefined
}

/** The ifindex and state of an RTM_NEWLINK message, without reading the rest. */
export const readIfIndex = (body: Buffer): number => (body.length >= 8 ? readIndexAt(body, 4) : 0)

// An RTM_NEWLINK's first attribute is the name (net/core/rtnetlink.c, rtnl_fill_ifinfo).
const nameAt = SIZEOF_IFINFOMSG + 4

/**
 * All but the interfaces without ARP whose names begin so. Looks at single bytes, and not at the kind, which is one of
 * the last attributes: to read a link as a whole takes ten times as long.
 */
export const exceptNoArp = (prefix: string): EntryFilter => {
  const wanted = Buffer.from(prefix)
  return datagram => (start, end) => {
    const at = start + nameAt
    if (end - at < wanted.length || !((datagram[start + 8] ?? 0) & IFF_NOARP)) return true
    if (datagram[at - 2] !== IFLA_IFNAME) return true
    return wanted.some((byte, index) => datagram[at + index] !== byte)
  }
}
