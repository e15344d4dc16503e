/** Sets and maps: their shape, and their elements as values or as the kernel has them. */
import { concatBytes, concatId, concatTypes, decodeFields, encodeFields, splitFields } from './concat'
import { concatInterval, intervalBorders, intervalValue, pairBorders } from './interval'
import { formatValues, type NftType, type NftValue, typeOf } from './value'
import {
  NFT_SET_CONCAT,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  type ReadSet,
  type SetField,
  type WireSet,
} from './wire/set'
import type { ReadSetElem, SetElem } from './wire/set-elem'
import * as u from './wire/userdata'

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
