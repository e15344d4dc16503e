/** Entries of the connection tracking table, over NETLINK_NETFILTER. */
import { type Addr, addressFamily, addrFromBytes, type Family } from '../ip/addr'
import { unlessRefused } from './error'
import type { NetlinkSocket } from './socket'
import { type Attribute, messageBody, putU8, putU16be, readAttributes } from './wire/message'

// <linux/netfilter/nfnetlink_conntrack.h>; a message's type has the subsystem in its high byte.
const NFNL_SUBSYS_CTNETLINK = 1 << 8
const IPCTNL_MSG_CT_NEW = NFNL_SUBSYS_CTNETLINK | 0
const IPCTNL_MSG_CT_GET = NFNL_SUBSYS_CTNETLINK | 1
const IPCTNL_MSG_CT_DELETE = NFNL_SUBSYS_CTNETLINK | 2
const CTA_TUPLE_ORIG = 1
const CTA_TUPLE_REPLY = 2
const CTA_ID = 12
const CTA_FILTER = 25
const CTA_TUPLE_IP = 1
const CTA_TUPLE_PROTO = 2
const CTA_IP_V4_SRC = 1
const CTA_IP_V4_DST = 2
const CTA_IP_V6_SRC = 3
const CTA_IP_V6_DST = 4
const CTA_PROTO_NUM = 1
const CTA_PROTO_SRC_PORT = 2
const CTA_PROTO_DST_PORT = 3
const CTA_FILTER_ORIG_FLAGS = 1
const CTA_FILTER_REPLY_FLAGS = 2
// net/netfilter/nf_internals.h: the fields of a tuple that a filtered dump compares.
const CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3
const CTA_FILTER_F_CTA_PROTO_DST_PORT = 1 << 5

export const IPPROTO_UDP = 17

// <linux/netfilter/nfnetlink.h>                   offset
// struct nfgenmsg {
//   __u8 nfgen_family, version;                   0, 1
//   __be16 res_id;                                2
// };                                              4 bytes
const SIZEOF_NFGENMSG = 4

const nfGenMsg = (family: Family): Buffer => Buffer.from([addressFamily(family), 0, 0, 0])

/** One direction of a tracked connection. */
type ConntrackTuple = {
  readonly src: Addr | undefined
  readonly dst: Addr | undefined
  readonly protocol: number
  readonly srcPort: number
  readonly dstPort: number
}

/** A tracked connection: what the first packet had, and what answers to it have. */
export type ConntrackEntry = {
  readonly family: Family
  readonly original: ConntrackTuple
  readonly reply: ConntrackTuple
  /** The request that deletes just this entry: its own bytes. */
  readonly originalBytes: Buffer
  readonly id: Buffer | undefined
}

const readTuple = (data: Buffer): ConntrackTuple => {
  const parts = readAttributes(data)
  const ip = parts.get(CTA_TUPLE_IP)
  const proto = parts.get(CTA_TUPLE_PROTO)
  const addresses = ip && readAttributes(ip)
  const ports = proto && readAttributes(proto)
  const addr = (v4: number, v6: number): Addr | undefined => {
    const bytes = addresses?.get(v4) ?? addresses?.get(v6)
    return bytes && addrFromBytes(bytes)
  }
  const port = (type: number): number => {
    const bytes = ports?.get(type)
    return bytes?.length === 2 ? bytes.readUInt16BE(0) : 0
  }
  return {
    src: addr(CTA_IP_V4_SRC, CTA_IP_V6_SRC),
    dst: addr(CTA_IP_V4_DST, CTA_IP_V6_DST),
    protocol: ports?.get(CTA_PROTO_NUM)?.[0] ?? 0,
    srcPort: port(CTA_PROTO_SRC_PORT),
    dstPort: port(CTA_PROTO_DST_PORT),
  }
}

const readEntry = (family: Family, body: Buffer): ConntrackEntry | undefined => {
  const attributes = readAttributes(body, SIZEOF_NFGENMSG)
  const original = attributes.get(CTA_TUPLE_ORIG)
  const reply = attributes.get(CTA_TUPLE_REPLY)
  if (!original || !reply) return undefined
  return {
    family,
    original: readTuple(original),
    reply: readTuple(reply),
    originalBytes: original,
    id: attributes.get(CTA_ID),
  }
}

const filterFlags = (flags: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(flags)
  return bytes
}

/** The fields that a filtered dump compares: the protocol, and the port if there is just one. */
const dumpFilter = (family: Family, protocol: number, dstPort: number | undefined): Uint8Array[] => {
  const port: Attribute[] = dstPort === undefined ? [] : [[CTA_PROTO_DST_PORT, putU16be(dstPort)]]
  const compared = CTA_FILTER_F_CTA_PROTO_NUM | (dstPort === undefined ? 0 : CTA_FILTER_F_CTA_PROTO_DST_PORT)
  return messageBody(nfGenMsg(family), [
    [CTA_TUPLE_ORIG, [[CTA_TUPLE_PROTO, [[CTA_PROTO_NUM, putU8(protocol)], ...port]]]],
    [
      CTA_FILTER,
      [
        [CTA_FILTER_ORIG_FLAGS, filterFlags(compared)],
        [CTA_FILTER_REPLY_FLAGS, filterFlags(0)],
      ],
    ],
  ])
}

/**
 * The tracked connections of a protocol whose first packet went to one of these ports. The kernel picks them out
 * itself where it can (5.8 and later), else all are read; either way it walks its whole table, which takes
 * milliseconds. Equivalent to: `conntrack -L -p $protocol --orig-port-dst $port`.
 */
export const conntrackList = (
  nl: NetlinkSocket,
  of: { family: Family; protocol: number; dstPorts: readonly number[] },
): ConntrackEntry[] => {
  const { family, protocol, dstPorts } = of
  const [first, ...others] = dstPorts
  const op = `list the connections to port ${dstPorts.join(', ')}`
  const dump = (body: Uint8Array[]) => nl.dump(op, { type: IPCTNL_MSG_CT_GET, body })
  const filtered = dumpFilter(family, protocol, others.length === 0 ? first : undefined)
  const replies =
    unlessRefused(['EINVAL', 'EOPNOTSUPP'], () => dump(filtered)) ?? dump(messageBody(nfGenMsg(family), []))
  return replies
    .filter(({ type }) => type === IPCTNL_MSG_CT_NEW)
    .flatMap(({ data }) => readEntry(family, data) ?? [])
    .filter(({ original }) => original.protocol === protocol && dstPorts.includes(original.dstPort))
}

/** Forgets one connection; one that is gone is no failure. */
export const conntrackDelete = (nl: NetlinkSocket, entry: ConntrackEntry): void => {
  unlessRefused(['ENOENT'], () =>
    nl.request(`forget a connection to port ${entry.original.dstPort}`, {
      type: IPCTNL_MSG_CT_DELETE,
      body: messageBody(nfGenMsg(entry.family), [
        [CTA_TUPLE_ORIG, entry.originalBytes],
        // Without it a new connection with the same ports could be hit.
        [CTA_ID, entry.id],
      ]),
    }),
  )
}
