/** Sets and maps: their shape, and their elements as values or as the kernel has them. */

import { type Addr, addrBytes, addrFromBytes } from '../../ip/addr'
import { type Cidr, lastAddr, networkOf } from '../../ip/cidr'
import {
  concatBytes,
  concatId,
  concatTypes,
  decodeFields,
  decodeValue,
  encodeFields,
  encodeValue,
  formatValues,
  isCidr,
  isRange,
  type NftType,
  type NftValue,
  splitFields,
  typeOf,
} from './value'
import * as u from './wire/message'
import {
  NFT_SET_CONCAT,
  NFT_SET_ELEM_INTERVAL_END,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  type ReadSet,
  type ReadSetElem,
  type SetElem,
  type SetField,
  type WireSet,
} from './wire/set'

/** A set, or with `data` a map. */
export type NftSet = {
  readonly name: string
  /** The types of the key's parts; one type is no concatenation. */
  readonly key: readonly NftType[]
  /** The types of the parts of what a map leads to. */
  readonly data?: readonly NftType[] | undefined
  /** May its keys be networks and ranges, of ipv4_addr, ipv6_addr and inet_service? nft's `flags interval`. */
  readonly interval?: boolean | undefined
  readonly comment?: string | undefined
}

/** An element of a set or map: one value for each type of the key and of the data. */
export type NftElement = {
  readonly key: readonly NftValue[]
  readonly data?: readonly NftValue[] | undefined
  /** At most 128 bytes. */
  readonly comment?: string | undefined
}

/** The element in nft's words: `tcp . 80 : 10.0.0.2 . 8080`. */
export const formatElement = ({ key, data }: NftElement): string =>
  data ? `${formatValues(key)} : ${formatValues(data)}` : formatValues(key)

const ordered: readonly NftType[] = ['ipv4_addr', 'ipv6_addr', 'inet_service']

const field = (types: readonly NftType[]): SetField => ({
  type: concatId(types),
  bytes: concatBytes(types),
  byteOrder: types.length === 1 && types[0] ? typeOf(types[0]).byteOrder : 0,
})

/** The set as the kernel takes it. Throws a TypeError for intervals of a type that has no order on the wire. */
export const wireSet = ({ name, key, data, interval = false, comment }: NftSet): WireSet => {
  const bare = interval && key.length === 1 && key.find(type => !ordered.includes(type))
  if (bare) throw new TypeError(`set "${name}" with intervals of ${bare}`)
  const byParts = interval && key.length > 1
  return {
    name,
    flags: (interval ? NFT_SET_INTERVAL : 0) | (data ? NFT_SET_MAP : 0) | (byParts ? NFT_SET_CONCAT : 0),
    key: field(key),
    data: data && field(data),
    concat: byParts ? key.map(type => typeOf(type).bytes) : undefined,
    comment,
  }
}

/** The set that the kernel listed; undefined for one of types not used here. */
export const readShape = ({ name, flags, keyType, dataType, comment }: ReadSet): NftSet | undefined => {
  const key = concatTypes(keyType)
  const data = dataType === undefined ? undefined : concatTypes(dataType)
  if (!key || (dataType !== undefined && !data)) return undefined
  return { name, key, data, interval: (flags & NFT_SET_INTERVAL) !== 0, comment: comment || undefined }
}

const keys = (set: NftSet, values: readonly NftValue[]): { elements: SetElem[]; open: boolean } => {
  if (!set.interval) return { elements: [{ key: encodeFields(set.key, values) }], open: false }
  const [type] = set.key
  const [value] = values
  if (set.key.length === 1 && values.length === 1 && type && value !== undefined) {
    const { borders, open } = intervalBorders(type, value)
    return { elements: borders, open }
  }
  return { elements: [concatInterval(set.key, values)], open: false }
}

/** The element's keys as the kernel takes them to find or delete it. Throws a TypeError for values of other types. */
export const wireKeys = (set: NftSet, element: Pick<NftElement, 'key'>): SetElem[] =>
  keys(set, element.key).elements

/** The element as the kernel takes it. Throws a TypeError for values of other types. */
export const wireElement = (set: NftSet, element: NftElement): SetElem[] => {
  const { data, comment } = element
  if (!set.data !== !data) throw new TypeError(`${formatElement(element)} does not fit "${set.name}"`)
  const { elements, open } = keys(set, element.key)
  const userdata = u.putUserdata([
    [u.NFTNL_UDATA_COMMENT, u.putComment(comment)],
    [
      u.NFTNL_UDATA_SET_ELEM_FLAGS,
      open ? Buffer.from([u.NFTNL_SET_ELEM_F_INTERVAL_OPEN, 0, 0, 0]) : undefined,
    ],
  ])
  const wireData = set.data && data && encodeFields(set.data, data)
  // Data and notes stand where an interval begins.
  return elements.map((wire, i) => (i === 0 ? { ...wire, data: wireData, userdata } : wire))
}

const readValue = (set: NftSet, { data, notes }: ReadSetElem, key: NftValue[]): NftElement => ({
  key,
  data: set.data && data && decodeFields(set.data, data),
  comment: notes.has(u.NFTNL_UDATA_COMMENT) ? u.readComment(notes.get(u.NFTNL_UDATA_COMMENT)) : undefined,
})

/** The elements that the kernel listed. Throws a RangeError if they have other lengths than the set's types. */
export const readElements = (set: NftSet, elements: readonly ReadSetElem[]): NftElement[] => {
  const [type] = set.key
  if (set.interval && set.key.length === 1 && type) {
    return pairBorders(elements).map(({ first, last }) =>
      readValue(set, first, [intervalValue(type, first.key, last)]),
    )
  }
  return elements.map(element => {
    if (!element.keyEnd) return readValue(set, element, decodeFields(set.key, element.key))
    const first = splitFields(set.key, element.key)
    const last = splitFields(set.key, element.keyEnd)
    const values = set.key.map((part, i) =>
      intervalValue(part, first[i] ?? Buffer.alloc(0), last[i] ?? Buffer.alloc(0)),
    )
    return readValue(set, element, values)
  })
}

// The elements of interval sets. For a single value the kernel keeps the borders: an element where the interval begins
// and one, flagged NFT_SET_ELEM_INTERVAL_END, where it has ended. One that reaches to the last address of the space has
// no end. For a concatenation it keeps the first and the last key in one element (Linux 5.6).

const firstOf = (type: NftType, value: NftValue): Buffer => {
  if (isCidr(value)) return encodeValue(type, networkOf(value).addr)
  return encodeValue(type, isRange(value) ? value.first : value)
}

const lastOf = (type: NftType, value: NftValue): Buffer => {
  if (isCidr(value)) return encodeValue(type, lastAddr(value))
  return encodeValue(type, isRange(value) ? value.last : value)
}

/** The number one above or below, of as many bytes; undefined beyond what they hold. */
const step = (bytes: Buffer, by: 1 | -1): Buffer | undefined => {
  const next = Buffer.from(bytes)
  const carries = by === 1 ? 0xff : 0
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = next[i] ?? 0
    next[i] = (byte + by) & 0xff
    if (byte !== carries) return next
  }
  return undefined
}

/** The borders of an interval of one value; `open` when it reaches to the end of the space, which has no border. */
const intervalBorders = (type: NftType, value: NftValue): { borders: SetElem[]; open: boolean } => {
  const first = firstOf(type, value)
  const last = lastOf(type, value)
  if (first.compare(last) > 0) throw new RangeError('an interval that ends before it begins')
  const end = step(last, 1)
  const borders: SetElem[] = [{ key: first }]
  if (end) borders.push({ key: end, flags: NFT_SET_ELEM_INTERVAL_END })
  return { borders, open: end === undefined }
}

/** The first and the last key of a concatenation with intervals. */
const concatInterval = (types: readonly NftType[], values: readonly NftValue[]): SetElem => ({
  key: encodeFields(types, values, firstOf),
  keyEnd: encodeFields(types, values, lastOf),
})

const prefixOf = (first: Addr, last: Addr): Cidr | undefined => {
  const hosts = first.bits ^ last.bits
  // All ones below the prefix, where `first` has only zeros.
  if ((hosts & (hosts + 1n)) !== 0n || (first.bits & hosts) !== 0n) return undefined
  const width = addrBytes(first).length * 8
  return { addr: first, prefix: hosts === 0n ? width : width - hosts.toString(2).length }
}

/** The interval between two keys: a single value, else a network if it is one, else a range. */
const intervalValue = (type: NftType, first: Buffer, last: Buffer): NftValue => {
  if (first.equals(last)) return decodeValue(type, first)
  const isAddress = type === 'ipv4_addr' || type === 'ipv6_addr'
  const [from, to] = isAddress ? [addrFromBytes(first), addrFromBytes(last)] : []
  if (from && to) return prefixOf(from, to) ?? { first: from, last: to }
  return { first: first.readUIntBE(0, first.length), last: last.readUIntBE(0, last.length) }
}

/** The intervals whose borders the kernel listed, in ascending order, each with the element it begins with. */
const pairBorders = (elements: readonly ReadSetElem[]): { first: ReadSetElem; last: Buffer }[] => {
  const isEnd = ({ flags }: ReadSetElem) => (flags & NFT_SET_ELEM_INTERVAL_END) !== 0
  // An interval's end comes before the next one's beginning at the same key.
  const sorted = [...elements].sort((a, b) => a.key.compare(b.key) || Number(isEnd(b)) - Number(isEnd(a)))
  const pairs: { first: ReadSetElem; last: Buffer }[] = []
  let open: ReadSetElem | undefined
  for (const element of sorted) {
    if (!isEnd(element)) open = element
    else if (open) {
      pairs.push({ first: open, last: step(element.key, -1) ?? element.key })
      open = undefined
    }
  }
  // nft puts an end at the very beginning of the space, which closes nothing; an interval without end is the last.
  if (open) pairs.push({ first: open, last: Buffer.alloc(open.key.length, 0xff) })
  return pairs
}
