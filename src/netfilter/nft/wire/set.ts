import {
  type NftAttribute,
  putU32,
  readAttributeList,
  readAttributes,
  readU32be,
} from '../../../netlink/wire/message'
import { NFTA_LIST_ELEM, putData, readData, readName } from './expression'
import {
  NFTNL_UDATA_SET_COMMENT,
  NFTNL_UDATA_SET_DATABYTEORDER,
  NFTNL_UDATA_SET_KEYBYTEORDER,
  putComment,
  putUserdata,
  readComment,
  readNftAttributes,
  readUserdata,
} from './message'

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
  const userdata = putUserdata([
    [NFTNL_UDATA_SET_KEYBYTEORDER, putU32(key.byteOrder)],
    [NFTNL_UDATA_SET_DATABYTEORDER, data && putU32(data.byteOrder)],
    [NFTNL_UDATA_SET_COMMENT, putComment(comment)],
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
  const userdata = readUserdata(attributes.get(NFTA_SET_USERDATA))
  const flags = readU32be(attributes.get(NFTA_SET_FLAGS)) ?? 0
  return {
    table: readName(attributes.get(NFTA_SET_TABLE)),
    name: readName(attributes.get(NFTA_SET_NAME)),
    flags,
    keyType: readU32be(attributes.get(NFTA_SET_KEY_TYPE)) ?? 0,
    dataType: flags & NFT_SET_MAP ? readU32be(attributes.get(NFTA_SET_DATA_TYPE)) : undefined,
    comment: readComment(userdata.get(NFTNL_UDATA_SET_COMMENT)),
  }
}

/** <linux/netfilter/nf_tables.h>, enum nft_set_elem_flags */
export const NFT_SET_ELEM_INTERVAL_END = 0x1
const NFT_SET_ELEM_CATCHALL = 0x2
/** enum nft_set_elem_list_attributes and nft_set_elem_attributes */
const NFTA_SET_ELEM_LIST_TABLE = 1
const NFTA_SET_ELEM_LIST_SET = 2
const NFTA_SET_ELEM_LIST_ELEMENTS = 3
const NFTA_SET_ELEM_KEY = 1
const NFTA_SET_ELEM_DATA = 2
const NFTA_SET_ELEM_FLAGS = 3
const NFTA_SET_ELEM_USERDATA = 6
const NFTA_SET_ELEM_KEY_END = 10

/** An element of a set as the kernel takes it. */
export type SetElem = {
  readonly key: Buffer
  /** The last key, in a set that stores ranges part by part. */
  readonly keyEnd?: Buffer | undefined
  readonly data?: Buffer | undefined
  readonly flags?: number | undefined
  readonly userdata?: Buffer | undefined
}

/** An element of a set as the kernel lists it, its userdata taken apart. */
export type ReadSetElem = {
  readonly key: Buffer
  readonly keyEnd: Buffer | undefined
  readonly data: Buffer | undefined
  readonly flags: number
  readonly notes: ReadonlyMap<number, Buffer>
}

const setElem = ({ key, keyEnd, data, flags, userdata }: SetElem): NftAttribute => [
  NFTA_LIST_ELEM,
  [
    [NFTA_SET_ELEM_FLAGS, flags || undefined],
    [NFTA_SET_ELEM_KEY, putData(key)],
    [NFTA_SET_ELEM_KEY_END, keyEnd && putData(keyEnd)],
    [NFTA_SET_ELEM_DATA, data && putData(data)],
    [NFTA_SET_ELEM_USERDATA, userdata],
  ],
]

// nfgenmsg
//   NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET (string)
//   NFTA_SET_ELEM_LIST_ELEMENTS (nest)            absent when all are meant
//     NFTA_LIST_ELEM (nest), one for each element
//       NFTA_SET_ELEM_FLAGS (be32)                NFT_SET_ELEM_INTERVAL_END; absent for none
//       NFTA_SET_ELEM_KEY (nft_data)
//       NFTA_SET_ELEM_KEY_END (nft_data)          Linux 5.6, of concatenations with intervals
//       NFTA_SET_ELEM_DATA (nft_data)             of maps
//       NFTA_SET_ELEM_USERDATA (userdata: comment, flags)
export const setElemListAttributes = (
  table: string,
  set: string,
  elements?: readonly SetElem[],
): NftAttribute[] => [
  [NFTA_SET_ELEM_LIST_TABLE, table],
  [NFTA_SET_ELEM_LIST_SET, set],
  [NFTA_SET_ELEM_LIST_ELEMENTS, elements?.map(setElem)],
]

const readSetElem = (value: Buffer): ReadSetElem | undefined => {
  const attributes = readAttributes(value)
  const flags = readU32be(attributes.get(NFTA_SET_ELEM_FLAGS)) ?? 0
  if (flags & NFT_SET_ELEM_CATCHALL) return undefined
  const key = readData(attributes.get(NFTA_SET_ELEM_KEY))
  if (!key) throw new Error('Missing key')
  return {
    key,
    keyEnd: readData(attributes.get(NFTA_SET_ELEM_KEY_END)),
    data: readData(attributes.get(NFTA_SET_ELEM_DATA)),
    flags,
    notes: readUserdata(attributes.get(NFTA_SET_ELEM_USERDATA)),
  }
}

/** An element of any program's set or map: without a key it is nft's `*`. */
export type ReadEntry = {
  readonly key: Buffer | undefined
  readonly keyEnd: Buffer | undefined
  readonly flags: number
  /** A nest of nft_data: bytes or a verdict; undefined in a set. */
  readonly data: Buffer | undefined
}

const readEntry = (value: Buffer): ReadEntry => {
  const attributes = readAttributes(value)
  return {
    key: readData(attributes.get(NFTA_SET_ELEM_KEY)),
    keyEnd: readData(attributes.get(NFTA_SET_ELEM_KEY_END)),
    flags: readU32be(attributes.get(NFTA_SET_ELEM_FLAGS)) ?? 0,
    data: attributes.get(NFTA_SET_ELEM_DATA),
  }
}

/** The elements in an NFT_MSG_NEWSETELEM, whatever the set is of. Throws if anything is cut off. */
export const readEntries = (body: Buffer): ReadEntry[] => {
  const list = readNftAttributes(body).get(NFTA_SET_ELEM_LIST_ELEMENTS)
  return list ? readAttributeList(list).map(({ value }) => readEntry(value)) : []
}

/**
 * The elements in an NFT_MSG_NEWSETELEM, without nft's `*`, which this project never adds. Throws if one has no key or
 * anything is cut off.
 */
export const readSetElems = (body: Buffer): ReadSetElem[] => {
  const list = readNftAttributes(body).get(NFTA_SET_ELEM_LIST_ELEMENTS)
  return list ? readAttributeList(list).flatMap(({ value }) => readSetElem(value) ?? []) : []
}
