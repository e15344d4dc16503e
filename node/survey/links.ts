/** The host's interfaces with what only a survey wants: their counters, where a veth's other end is, and their rates. */
import { redirectList } from '../../plugins/bandwidth/ifb'
import { IFF_UP } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { qdiscList, readTbf, TC_H_ROOT } from '../../src/netlink/tc'
import { IFLA_LINK_NETNSID, ifInfoMsg, type Link, RTM_GETLINK, readLink } from '../../src/netlink/wire/link'
import { messageBody, readAttributes } from '../../src/netlink/wire/message'

/** <linux/if_link.h> */
const IFLA_STATS64 = 23

// <linux/rtnetlink.h>: the ifinfomsg in front of the attributes.
const SIZEOF_IFINFOMSG = 16

// <linux/if_link.h>                               offset
// struct rtnl_link_stats64 {
//   __u64 rx_packets, tx_packets;                 0, 8
//   __u64 rx_bytes, tx_bytes;                     16, 24
//   …
// };
const offsetOf = { rxBytes: 16, txBytes: 24 }
const leastStatsBytes = 32

/** An interface of the host. */
export type HostLink = Link & {
  /** The number that this namespace has for the one a veth's peer is in; undefined if that is this one, too. */
  readonly peerNsid: number | undefined
  /** Bytes received and sent since it was made. */
  readonly rxBytes: number
  readonly txBytes: number
}

const counter = (stats: Buffer | undefined, offset: number): number =>
  stats && stats.length >= leastStatsBytes ? Number(stats.readBigUInt64LE(offset)) : 0

const readHostLink = (body: Buffer): HostLink => {
  const attributes = readAttributes(body, SIZEOF_IFINFOMSG)
  const stats = attributes.get(IFLA_STATS64)
  const nsid = attributes.get(IFLA_LINK_NETNSID)
  return {
    ...readLink(body),
    peerNsid: nsid?.length === 4 ? nsid.readInt32LE(0) : undefined,
    rxBytes: counter(stats, offsetOf.rxBytes),
    txBytes: counter(stats, offsetOf.txBytes),
  }
}

/** Is it switched on? */
export const isUp = ({ flags }: Link): boolean => (flags & IFF_UP) !== 0

/** All interfaces of the namespace a socket is in. Equivalent to: `ip -s -d link show`. */
export const hostLinkList = (nl: NetlinkSocket): HostLink[] =>
  nl
    .dump('list the interfaces', { type: RTM_GETLINK, body: messageBody(ifInfoMsg({}), []) })
    .map(({ data }) => readHostLink(data))

/** What of traffic control belongs to attachments: the token buckets of veths and ifbs, and what leads to an ifb. */
export type Shaping = {
  /** Bits a second that an interface sends at most, by its ifindex. */
  readonly rates: ReadonlyMap<number, number>
  /** The ifb that gets what an interface receives, both by ifindex; 0 for one that is gone. */
  readonly redirects: ReadonlyMap<number, number>
  /** Those ifbs. */
  readonly used: ReadonlySet<number>
}

const bitsPerByte = 8

/** Reads the qdiscs and redirects of all interfaces. */
export const readShaping = (nl: NetlinkSocket): Shaping => {
  const rates = new Map<number, number>()
  const qdiscs = qdiscList(nl)
  for (const { index, parent, kind, options } of qdiscs) {
    const tbf = kind === 'tbf' && parent === TC_H_ROOT && options ? readTbf(options) : undefined
    if (tbf) rates.set(index, tbf.rateBytes * bitsPerByte)
  }
  const redirects = new Map(redirectList(nl, qdiscs).map(({ from, to }) => [from, to]))
  return { rates, redirects, used: new Set(redirects.values()) }
}
