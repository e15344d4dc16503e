import { putU32, readU32be } from '../../../netlink/wire/attributes'
import type { NftAttribute } from './attributes'
import { NFTA_LIST_ELEM, readName } from './expression'
import { readNftAttributes } from './nfnetlink'
import * as u from './userdata'

/** <linux/netfilter/nf_tables.h>, enum nft_set_flags */
export const NFT_SET_INTERVAL = 0x4
export const NFT_SET_MAP = 0x8
export const NFT_SET_CONCAT = 0x80
/** enum nft_set_attributes, nft_set_desc_attributes and nft_set_field_attributes */
const NFTA_SET_TABLE = 1
const NFTA_SET_NAME = 2
const NFTA_SET_FLAGS = 3
const NFTA_SET_KEY_TYPE = 4
const NFTA_SET_KEY_LEN = 5
const NFTA_SET_DATA_TYPE = 6
const NFTA_SET_DATA_LEN = 7
const NFTA_SET_DESC = 9
const NFTA_SET_ID = 10
const NFTA_SET_USERDATA = 13
const NFTA_SET_DESC_CONCAT = 2
const NFTA_SET_FIELD_LEN = 1

/** A set's key or a map's data: nft's number of the type, its length in bytes, its byte order in nft's numbers. */
export type SetField = { readonly type: number; readonly bytes: number; readonly byteOrder: number }

export type WireSet = {
  readonly name: string
  readonly flags: number
  readonly key: SetField
  readonly data?: SetField | undefined
  /** Of a concatenation with intervals, the length of each part; it makes the kernel store ranges part by part. */
  readonly concat?: readonly number[] | undefined
  readonly comment?: string | undefined
}

/** A set or map as the kernel lists it. */
export type ReadSet = {
  readonly table: string
  readonly name: string
  readonly flags: number
  readonly keyType: number
  readonly dataType: number | undefined
  readonly comment: string
}

// nfgenmsg
//   NFTA_SET_TABLE, NFTA_SET_NAME (string)
export const setKey = (table: string, set?: string): NftAttribute[] => [
  [NFTA_SET_TABLE, table],
  [NFTA_SET_NAME, set],
]

const concatDescription = (lengths: readonly number[]): NftAttribute[] => [
  [
    NFTA_SET_DESC_CONCAT,
    lengths.map((bytes): NftAttribute => [NFTA_LIST_ELEM, [[NFTA_SET_FIELD_LEN, bytes]]]),
  ],
]

// nfgenmsg
//   NFTA_SET_TABLE, NFTA_SET_NAME (string)
//   NFTA_SET_FLAGS (be32)
//   NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN (be32)
//   NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN (be32)  of maps
//   NFTA_SET_ID (be32)                            another for each set of a batch
//   NFTA_SET_DESC (nest)                          of concatenations with intervals, Linux 5.6
//     NFTA_SET_DESC_CONCAT (nest)
//       NFTA_LIST_ELEM (nest), one for each part
//         NFTA_SET_FIELD_LEN (be32)               in bytes, though the header says bits
//   NFTA_SET_USERDATA (userdata: byte orders in host order, comment)
export const setAttributes = (table: string, set: WireSet, id: number): NftAttribute[] => {
  const { name, flags, key, data, concat, comment } = set
  const userdata = u.putUserdata([
    [u.NFTNL_UDATA_SET_KEYBYTEORDER, putU32(key.byteOrder)],
    [u.NFTNL_UDATA_SET_DATABYTEORDER, data && putU32(data.byteOrder)],
    [u.NFTNL_UDATA_SET_COMMENT, u.putComment(comment)],
  ])
  return [
    ...setKey(table, name),
    [NFTA_SET_FLAGS, flags],
    [NFTA_SET_KEY_TYPE, key.type],
    [NFTA_SET_KEY_LEN, key.bytes],
    [NFTA_SET_DATA_TYPE, data?.type],
    [NFTA_SET_DATA_LEN, data?.bytes],
    [NFTA_SET_ID, id],
    [NFTA_SET_DESC, concat && concatDescription(concat)],
    [NFTA_SET_USERDATA, userdata],
  ]
}

/** The set of an NFT_MSG_NEWSET. Throws if anything in it is cut off. */
export const readSet = (body: Buffer): ReadSet => {
  const attributes = readNftAttributes(body)
  const userdata = u.readUserdata(attributes.get(NFTA_SET_USERDATA))
  const flags = readU32be(attributes.get(NFTA_SET_FLAGS)) ?? 0
  return {
    table: readName(attributes.get(NFTA_SET_TABLE)),
    name: readName(attributes.get(NFTA_SET_NAME)),
    flags,
    keyType: readU32be(attributes.get(NFTA_SET_KEY_TYPE)) ?? 0,
    dataType: flags & NFT_SET_MAP ? readU32be(attributes.get(NFTA_SET_DATA_TYPE)) : undefined,
    comment: u.readComment(userdata.get(u.NFTNL_UDATA_SET_COMMENT)),
  }
}
