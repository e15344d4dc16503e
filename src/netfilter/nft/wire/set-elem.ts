import { readAttributeList, readAttributes, readU32be } from '../../../netlink/wire/attributes'
import type { NftAttribute } from './attributes'
import { NFTA_LIST_ELEM, putData, readData } from './expression'
import { readNftAttributes } from './nfnetlink'
import { readUserdata } from './userdata'

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

/**
 * The elements in an NFT_MSG_NEWSETELEM, without nft's `*`, which this project never adds. Throws if one has no key or
 * anything is cut off.
 */
export const readSetElems = (body: Buffer): ReadSetElem[] => {
  const list = readNftAttributes(body).get(NFTA_SET_ELEM_LIST_ELEMENTS)
  return list ? readAttributeList(list).flatMap(({ value }) => readSetElem(value) ?? []) : []
}
