/**
 * The data types of nft that the project uses, and their values: what stands in registers, sets and maps, alone or several
 * side by side in one key, each filled up to whole 32-bit words.
 */
import { type Addr, addrBytes, addrFromBytes, formatAddr } from '../../ip/addr'
import { type Cidr, formatCidr } from '../../ip/cidr'
import { formatMac, macBytes, parseMac } from '../../ip/mac'
import { putU8, putU16be, putU32, readText } from '../../netlink/wire/message'
import { registerBytes } from './wire/expression'

/** Transport protocols by their names in nft (<linux/in.h>). */
export const l4Protocols = { tcp: 6, udp: 17, sctp: 132 } as const

export type L4Protocol = keyof typeof l4Protocols

/** From `first` to `last`, both included. */
type Range = { readonly first: Addr | number; readonly last: Addr | number }

/**
 * A value of a type: an Addr for ipv4_addr and ipv6_addr, a MAC in text for ether_addr, a protocol's name or number
 * for inet_proto, a number for inet_service and mark, a name for ifname. Interval sets also take networks and ranges.
 */
export type NftValue = Addr | Cidr | Range | number | string

// libnftnl and nft put this number into a set's userdata, enum byteorder of nft's datatype.h.
const BYTEORDER_INVALID = 0
const BYTEORDER_HOST_ENDIAN = 1
const BYTEORDER_BIG_ENDIAN = 2

/** <linux/if.h>: the size of a name with its NUL. */
const IFNAMSIZ = 16

type Type = {
  /** nft's number for it (enum datatypes of its datatype.h), which the kernel keeps to tell nft. */
  readonly id: number
  readonly bytes: number
  readonly byteOrder: number
  /** The value's bytes; undefined for one of another type. */
  encode(value: NftValue): Buffer | undefined
  /** The value of as many bytes as it has. */
  decode(bytes: Buffer): NftValue | undefined
}

const isAddr = (value: NftValue): value is Addr => typeof value === 'object' && 'bits' in value

/** Is it a network? */
export const isCidr = (value: NftValue): value is Cidr => typeof value === 'object' && 'prefix' in value

/** Is it a range? */
export const isRange = (value: NftValue): value is Range => typeof value === 'object' && 'first' in value

const isBelow = (value: NftValue, end: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < end

const addrType = (id: number, family: 4 | 6): Type => ({
  id,
  bytes: family === 4 ? 4 : 16,
  byteOrder: BYTEORDER_BIG_ENDIAN,
  encode: value => (isAddr(value) && value.family === family ? addrBytes(value) : undefined),
  decode: bytes => addrFromBytes(bytes),
})

const protocolNumber = (value: NftValue): number | undefined => {
  if (isBelow(value, 0x100)) return value
  return Object.entries(l4Protocols).find(([name]) => name === value)?.[1]
}

const nameBytes = (name: string): Buffer | undefined => {
  const bytes = Buffer.alloc(IFNAMSIZ)
  const length = Buffer.byteLength(name)
  if (length === 0 || length >= IFNAMSIZ) return undefined
  bytes.write(name)
  return bytes
}

const types = {
  ipv4_addr: addrType(7, 4),
  ipv6_addr: addrType(8, 6),
  ether_addr: {
    id: 9,
    bytes: 6,
    byteOrder: BYTEORDER_BIG_ENDIAN,
    encode: value => {
      const mac = typeof value === 'string' ? parseMac(value) : undefined
      return mac === undefined ? undefined : macBytes(mac)
    },
    decode: formatMac,
  },
  inet_proto: {
    id: 12,
    bytes: 1,
    byteOrder: BYTEORDER_INVALID,
    encode: value => {
      const number = protocolNumber(value)
      return number === undefined ? undefined : putU8(number)
    },
    decode: ([number = 0]) => Object.entries(l4Protocols).find(row => row[1] === number)?.[0] ?? number,
  },
  inet_service: {
    id: 13,
    bytes: 2,
    byteOrder: BYTEORDER_BIG_ENDIAN,
    encode: value => (isBelow(value, 0x10000) ? putU16be(value) : undefined),
    decode: bytes => bytes.readUInt16BE(0),
  },
  mark: {
    id: 19,
    bytes: 4,
    byteOrder: BYTEORDER_HOST_ENDIAN,
    encode: value => (isBelow(value, 2 ** 32) ? putU32(value) : undefined),
    decode: bytes => bytes.readUInt32LE(0),
  },
  ifname: {
    id: 41,
    bytes: IFNAMSIZ,
    byteOrder: BYTEORDER_HOST_ENDIAN,
    encode: value => (typeof value === 'string' ? nameBytes(value) : undefined),
    decode: readText,
  },
} satisfies Record<string, Type>

/** The name of a data type in nft. */
export type NftType = keyof typeof types

/** The description of a type for the kernel and nft: its number, its size in bytes, its byte order. */
export const typeOf = (type: NftType): Pick<Type, 'id' | 'bytes' | 'byteOrder'> => types[type]

/** The type with that number of nft's; undefined for one not used here. */
const typeById = (id: number): NftType | undefined =>
  (Object.keys(types) as NftType[]).find(type => types[type].id === id)

/** A value as it stands in a register. Throws a TypeError for a value of another type. */
export const encodeValue = (type: NftType, value: NftValue): Buffer => {
  const bytes = types[type].encode(value)
  if (!bytes) throw new TypeError(`${formatValue(value)} is no ${type}`)
  return bytes
}

/** The value that `bytes` hold. Throws a RangeError unless there are as many as the type has. */
export const decodeValue = (type: NftType, bytes: Buffer): NftValue => {
  const value = bytes.length === types[type].bytes ? types[type].decode(bytes) : undefined
  if (value === undefined) throw new RangeError(`${bytes.length} bytes are no ${type}`)
  return value
}

/** A value as nft writes it, without quotes: `10.0.0.0/8`, `80-90`, `tcp`, `eth0`. */
export const formatValue = (value: NftValue): string => {
  if (typeof value !== 'object') return String(value)
  if (isAddr(value)) return formatAddr(value)
  if (isCidr(value)) return formatCidr(value)
  return `${formatValue(value.first)}-${formatValue(value.last)}`
}

/** Values as nft joins them: `10.0.0.2 . tcp . 80`. */
export const formatValues = (values: readonly NftValue[]): string => values.map(formatValue).join(' . ')

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
