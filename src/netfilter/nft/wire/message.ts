/** Messages of nf_tables: their header, and the notes that nft keeps in some of their attributes. */
import { maxNftCommentBytes } from '../../../attachment/nft-comments'
import { NLM_F_ACK, type Request } from '../../../netlink/socket'
import { type Attributes, type NftAttribute, nftBody, readAttributes } from '../../../netlink/wire/message'

/** <linux/netfilter.h>: the numbers of the families that nft calls inet, ip, bridge and ip6. */
const NFPROTO_INET = 1
export const NFPROTO_IPV4 = 2
const NFPROTO_BRIDGE = 7
export const NFPROTO_IPV6 = 10

/** <linux/netfilter/nfnetlink.h> */
const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 0x10
const NFNL_MSG_BATCH_END = 0x11
const NFNL_BATCH_GENID = 1
const NFNETLINK_V0 = 0

/** <linux/netfilter/nf_tables.h>, enum nf_tables_msg_types */
export const NFT_MSG_NEWTABLE = 0
export const NFT_MSG_GETTABLE = 1
export const NFT_MSG_DELTABLE = 2
export const NFT_MSG_NEWCHAIN = 3
export const NFT_MSG_GETCHAIN = 4
export const NFT_MSG_DELCHAIN = 5
export const NFT_MSG_NEWRULE = 6
export const NFT_MSG_GETRULE = 7
export const NFT_MSG_DELRULE = 8
export const NFT_MSG_NEWSET = 9
export const NFT_MSG_GETSET = 10
export const NFT_MSG_DELSET = 11
export const NFT_MSG_NEWSETELEM = 12
export const NFT_MSG_GETSETELEM = 13
export const NFT_MSG_DELSETELEM = 14
export const NFT_MSG_NEWGEN = 15
export const NFT_MSG_GETGEN = 16

const families = { ip: NFPROTO_IPV4, ip6: NFPROTO_IPV6, inet: NFPROTO_INET, bridge: NFPROTO_BRIDGE } as const

/** A family of tables as nft spells it. */
export type NftFamily = keyof typeof families

/** The family of that number; undefined for one this project has no use for, such as netdev. */
export const nftFamilyOf = (nfproto: number): NftFamily | undefined =>
  (Object.keys(families) as NftFamily[]).find(family => families[family] === nfproto)

// <linux/netfilter/nfnetlink.h>                   offset
// struct nfgenmsg {
//   __u8 nfgen_family;                            0
//   __u8 version;                                 1
//   __be16 res_id;                                2
// };                                              4 bytes
const SIZEOF_NFGENMSG = 4

const nfGenMsg = (nfproto: number, resId = 0): Buffer => {
  const header = Buffer.alloc(SIZEOF_NFGENMSG)
  header[0] = nfproto
  header[1] = NFNETLINK_V0
  header.writeUInt16BE(resId, 2)
  return header
}

/** A request to nf_tables, or to all its families if none is given (NFPROTO_UNSPEC). */
export const nftRequest = (
  message: number,
  family: NftFamily | undefined,
  attributes: readonly NftAttribute[],
  flags = 0,
): Request => ({
  type: (NFNL_SUBSYS_NFTABLES << 8) | message,
  flags,
  body: [nftBody(nfGenMsg(family ? families[family] : 0), attributes)],
})

/** The attributes of a message of nf_tables. Throws on a length that cannot be. */
export const readNftAttributes = (body: Buffer): Attributes => {
  if (body.length < SIZEOF_NFGENMSG) throw new Error(`Invalid message length (${body.length})`)
  return readAttributes(body, SIZEOF_NFGENMSG)
}

/** Is `type` the netlink type of this nf_tables message? */
export const isNftMessage = (type: number, message: number): boolean =>
  type === ((NFNL_SUBSYS_NFTABLES << 8) | message)

const batchMark = (type: number, attributes: readonly NftAttribute[]): Request => ({
  type,
  body: [nftBody(nfGenMsg(0, NFNL_SUBSYS_NFTABLES), attributes)],
})

/**
 * What nf_tables applies as a whole or not at all, in the order of one datagram:
 *
 *   NFNL_MSG_BATCH_BEGIN [NFNL_BATCH_GENID (be32)]
 *   requests …
 *   NFNL_MSG_BATCH_END
 *
 * Only the last request asks for an acknowledgement. The kernel answers in the order of the requests and reports each
 * refusal unasked, so that one answer ends the wait; one for each of 500 would overflow the receive buffer.
 */
export const batch = (requests: readonly Request[], generation?: number): Request[] => {
  const last = requests.length - 1
  return [
    batchMark(NFNL_MSG_BATCH_BEGIN, [[NFNL_BATCH_GENID, generation]]),
    ...requests.map((request, i) =>
      i === last ? { ...request, flags: (request.flags ?? 0) | NLM_F_ACK } : request,
    ),
    batchMark(NFNL_MSG_BATCH_END, []),
  ]
}

// The notes that nft keeps beside its objects. The kernel stores and returns them unread; their form is libnftnl's
// (libnftnl/udata.h): one after the other a type, a length and as many bytes, unaligned, of at most 256 bytes in all.
//
//   __u8 type                                     0
//   __u8 len                                      1
//   __u8 value[len]                               2

/** enum nftnl_udata_table_types, …_chain_types, …_rule_types and …_set_elem_types: the same number in each. */
export const NFTNL_UDATA_COMMENT = 0
/** enum nftnl_udata_set_types */
export const NFTNL_UDATA_SET_KEYBYTEORDER = 0
export const NFTNL_UDATA_SET_DATABYTEORDER = 1
export const NFTNL_UDATA_SET_COMMENT = 7
/** enum nftnl_udata_set_elem_types */
export const NFTNL_UDATA_SET_ELEM_FLAGS = 1
/** The interval reaches to the end of the address space, where an end element would wrap around. */
export const NFTNL_SET_ELEM_F_INTERVAL_OPEN = 1

type Note = readonly [type: number, value: Uint8Array | undefined]

/** The userdata that holds these notes, those that are undefined left out; undefined if none is left. */
export const putUserdata = (notes: readonly Note[]): Buffer | undefined => {
  const parts: Uint8Array[] = []
  for (const [type, value] of notes) {
    if (value) parts.push(Uint8Array.of(type, value.length), value)
  }
  return parts.length > 0 ? Buffer.concat(parts) : undefined
}

/** The notes by type; a note that is cut off ends the reading, because other programs may have written it. */
export const readUserdata = (userdata: Buffer | undefined): Map<number, Buffer> => {
  const notes = new Map<number, Buffer>()
  if (!userdata) return notes
  for (let at = 0; at + 2 <= userdata.length; ) {
    const [type = 0, length = 0] = userdata.subarray(at, at + 2)
    const end = at + 2 + length
    if (end > userdata.length) break
    notes.set(type, userdata.subarray(at + 2, end))
    at = end
  }
  return notes
}

/** A comment's note: UTF-8 and a NUL. Throws a RangeError for what nft could not show whole. */
export const putComment = (comment: string | undefined): Buffer | undefined => {
  if (comment === undefined) return undefined
  const bytes = Buffer.from(`${comment}\0`)
  if (bytes.length - 1 > maxNftCommentBytes) {
    throw new RangeError(`nftables comment of ${bytes.length - 1} bytes: more than ${maxNftCommentBytes}`)
  }
  if (comment.includes('\0')) throw new RangeError('nftables comment with a NUL')
  return bytes
}

/** The text of a comment's note; "" if there is none. */
export const readComment = (note: Buffer | undefined): string => {
  if (!note) return ''
  const end = note.indexOf(0)
  return note.toString('utf8', 0, end < 0 ? note.length : end)
}
