/** Concatenations: several values side by side in one key, each filled up to whole 32-bit words. */

import { decodeValue, encodeValue, type NftType, type NftValue, typeById, typeOf } from './value'
import { registerBytes } from './wire/register'

// include/datatype.h of nft, TYPE_BITS: a concatenation's number is made of its types' numbers, six bits each.
const TYPE_BITS = 6

/** nft's number for these types side by side. */
export const concatId = (types: readonly NftType[]): number =>
  types.reduce((id, type) => (id << TYPE_BITS) | typeOf(type).id, 0)

/** The types that number stands for; undefined if one of them is not used here. */
export const concatTypes = (id: number): NftType[] | undefined => {
  const types: NftType[] = []
  for (let rest = id; rest > 0; rest >>>= TYPE_BITS) {
    const type = typeById(rest & ((1 << TYPE_BITS) - 1))
    if (!type) return undefined
    types.unshift(type)
  }
  return types
}

/** The length of these types side by side in bytes; a single type is not filled up. */
export const concatBytes = (types: readonly NftType[]): number =>
  types.length === 1 && types[0]
    ? typeOf(types[0]).bytes
    : types.reduce((sum, type) => sum + registerBytes(typeOf(type).bytes), 0)

/** Puts bytes of values side by side. */
const joinFields = (fields: readonly Buffer[]): Buffer => {
  const [only] = fields
  if (fields.length === 1 && only) return only
  const joined = Buffer.alloc(fields.reduce((sum, field) => sum + registerBytes(field.length), 0))
  let at = 0
  for (const field of fields) {
    field.copy(joined, at)
    at += registerBytes(field.length)
  }
  return joined
}

/** The bytes of each value by itself. Throws a RangeError unless they are as long as the types say. */
export const splitFields = (types: readonly NftType[], bytes: Buffer): Buffer[] => {
  if (bytes.length !== concatBytes(types)) {
    throw new RangeError(`${bytes.length} bytes are no ${types.join(' . ')}`)
  }
  let at = 0
  return types.map(type => {
    const field = bytes.subarray(at, at + typeOf(type).bytes)
    at += registerBytes(field.length)
    return field
  })
}

/** One field for each type, by `encode`. Throws a TypeError for too many values or too few. */
export const encodeFields = (
  types: readonly NftType[],
  values: readonly NftValue[],
  encode: (type: NftType, value: NftValue) => Buffer = encodeValue,
): Buffer => {
  if (types.length !== values.length) {
    throw new TypeError(`${values.length} values are no ${types.join(' . ')}`)
  }
  return joinFields(
    types.map((type, i) => {
      const value = values[i]
      if (value === undefined) throw new TypeError(`a value of ${types.join(' . ')} is missing`)
      return encode(type, value)
    }),
  )
}

/** The values that `bytes` hold. Throws a RangeError unless they are as long as the types say. */
export const decodeFields = (types: readonly NftType[], bytes: Buffer): NftValue[] => {
  const fields = splitFields(types, bytes)
  return types.map((type, i) => decodeValue(type, fields[i] ?? Buffer.alloc(0)))
}
