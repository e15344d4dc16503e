/** The host's own sockets, over NETLINK_SOCK_DIAG. */
import { type Addr, addressFamily, addrFromBytes, type Family } from '../ip/addr'
import { unlessRefused } from './error'
import type { NetlinkSocket } from './socket'
import { readAttributes } from './wire/message'

/** <linux/netlink.h> */
export const NETLINK_SOCK_DIAG = 4

// <linux/sock_diag.h>, <linux/inet_diag.h>
const SOCK_DIAG_BY_FAMILY = 20
const INET_DIAG_SKV6ONLY = 11

// <net/tcp_states.h>: a UDP socket that is bound and not connected is "closed".
const TCP_CLOSE = 7
const TCP_LISTEN = 10

/** <linux/in.h> */
const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const

/** The protocols of a waiting socket. */
type TransportProtocol = keyof typeof protocolNumbers

/** A socket that listens on a port. */
export type ListeningSocket = {
  readonly protocol: TransportProtocol
  /** All zeros: every address of the family. */
  readonly addr: Addr
  readonly port: number
  /** Is it for IPv6 alone? Others on `::` answer to IPv4 too. */
  readonly v6Only: boolean
  /** By which /proc/PID/fd/N of its owner is called "socket:[…]". */
  readonly inode: number
}

// struct inet_diag_req_v2 {                       offset
//   __u8 sdiag_family, sdiag_protocol;            0, 1
//   __u8 idiag_ext, pad;                          2, 3
//   __u32 idiag_states;                           4
//   struct inet_diag_sockid id;                   8
// };                                              56 bytes
const SIZEOF_INET_DIAG_REQ_V2 = 56

// struct inet_diag_msg {                          offset
//   __u8 idiag_family, idiag_state;               0, 1
//   __u8 idiag_timer, idiag_retrans;              2, 3
//   struct inet_diag_sockid {
//     __be16 idiag_sport, idiag_dport;            4, 6
//     __be32 idiag_src[4], idiag_dst[4];          8, 24
//     __u32 idiag_if, idiag_cookie[2];            40, 44
//   } id;
//   __u32 idiag_expires, idiag_rqueue;            52, 56
//   __u32 idiag_wqueue, idiag_uid, idiag_inode;   60, 64, 68
// };                                              72 bytes
const SIZEOF_INET_DIAG_MSG = 72

const request = (family: Family, protocol: TransportProtocol): Buffer => {
  const body = Buffer.alloc(SIZEOF_INET_DIAG_REQ_V2)
  body.writeUInt8(addressFamily(family), 0)
  body.writeUInt8(protocolNumbers[protocol], 1)
  body.writeUInt32LE(1 << (protocol === 'udp' ? TCP_CLOSE : TCP_LISTEN), 4)
  return body
}

const readSocket = (family: Family, protocol: TransportProtocol, body: Buffer): ListeningSocket[] => {
  if (body.length < SIZEOF_INET_DIAG_MSG) return []
  const addr = addrFromBytes(body.subarray(8, 8 + (family === 4 ? 4 : 16)))
  const v6Only = readAttributes(body, SIZEOF_INET_DIAG_MSG).get(INET_DIAG_SKV6ONLY)
  if (!addr) return []
  return [
    {
      protocol,
      addr,
      port: body.readUInt16BE(4),
      v6Only: family === 6 && v6Only?.[0] === 1,
      inode: body.readUInt32LE(68),
    },
  ]
}

/**
 * The sockets of the network namespace of `nl` that wait for connections or, with UDP, for datagrams of any sender.
 * Empty where the kernel cannot tell. Equivalent to: `ss --listening --$protocol -$family`.
 */
export const listeningSockets = (
  nl: NetlinkSocket,
  family: Family,
  protocol: TransportProtocol,
): ListeningSocket[] => {
  const op = `list the listening ${protocol} sockets of IPv${family}`
  // Without the module tcp_diag, udp_diag or sctp_diag.
  const replies = unlessRefused(['ENOENT', 'EINVAL', 'EOPNOTSUPP'], () =>
    nl.dump(op, { type: SOCK_DIAG_BY_FAMILY, body: [request(family, protocol)] }),
  )
  return (replies ?? [])
    .filter(({ type }) => type === SOCK_DIAG_BY_FAMILY)
    .flatMap(({ data }) => readSocket(family, protocol, data))
}
