import { AttrStream } from 'netlink/dist/structs'

export {
  putString,
  putU8,
  putU16,
  putU16be,
  putU32,
  putU32be,
  putU64,
} from 'netlink/dist/structs'

/** One attribute to send. An undefined value leaves the attribute out; a list is a nest of attributes. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[] | undefined]

const push = (stream: AttrStream, attributes: readonly Attribute[]): void => {
  for (const [type, value] of attributes) {
    if (value === undefined) continue
    stream.push(type, value instanceof Uint8Array ? value : nest => push(nest, value))
  }
}

/** A message's body: its fixed header and the attributes behind it, each aligned to four bytes. */
export const messageBody = (header: Uint8Array, attributes: readonly Attribute[]): Uint8Array[] => {
  const stream = new AttrStream()
  stream.emit(header)
  push(stream, attributes)
  return stream.bufs
}

// <linux/netlink.h>                               offset
// struct nlattr {
//   __u16 nla_len;                                0, with these four bytes and without padding
//   __u16 nla_type;                               2, its two highest bits are flags
// };                                              4 bytes, each at a multiple of four
const SIZEOF_NLATTR = 4
const highByteOfType = 0x3f

/**
 * Where the attributes behind the first `from` bytes begin. Byte by byte, as the buffer's own methods take ten times as
 * long where the code is interpreted.
 */
const placesOf = (data: Buffer, from: number): number[] => {
  const places: number[] = []
  for (let at = from; at < data.length; ) {
    const length = (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8)
    if (length < SIZEOF_NLATTR || at + length > data.length) {
      throw new Error(`an attribute of ${length} bytes where there are ${data.length - at}`)
    }
    places.push(at)
    at += (length + 3) & ~3
  }
  return places
}

const typeAt = (data: Buffer, at: number): number =>
  (data[at + 2] ?? 0) | (((data[at + 3] ?? 0) & highByteOfType) << 8)

const valueAt = (data: Buffer, at: number): Buffer =>
  data.subarray(at + SIZEOF_NLATTR, at + data.readUInt16LE(at))

/** The attributes of a message or a nest by their type. A value is cut out when it is asked for: most never are. */
export class Attributes {
  readonly #data: Buffer
  readonly #places = new Map<number, number>()

  /** Those in `data` behind the first `from` bytes; of two with one type the last. Throws on a length that cannot be. */
  constructor(data: Buffer, from = 0) {
    this.#data = data
    for (const at of placesOf(data, from)) this.#places.set(typeAt(data, at), at)
  }

  get(type: number): Buffer | undefined {
    const at = this.#places.get(type)
    return at === undefined ? undefined : valueAt(this.#data, at)
  }
}

/** The attributes in `data` behind the first `from` bytes. Throws on a length that cannot be. */
export const readAttributes = (data: Buffer, from = 0): Attributes => new Attributes(data, from)

/** The attributes in `data` in their order, for lists in which a type stands many times. Throws as above. */
export const readAttributeList = (data: Buffer): { type: number; value: Buffer }[] =>
  placesOf(data, 0).map(at => ({ type: typeAt(data, at), value: valueAt(data, at) }))

/** The text of a NUL-terminated attribute; "" if it is missing. */
export const readText = (value: Buffer | undefined): string => {
  if (!value) return ''
  const end = value.indexOf(0)
  return value.toString('utf8', 0, end < 0 ? value.length : end)
}

/** An unsigned number of 1, 2 or 4 bytes in host order; undefined if it is missing or has another size. */
export const readNumber = (value: Buffer | undefined): number | undefined => {
  if (value?.length === 4) return value.readUInt32LE(0)
  if (value?.length === 2) return value.readUInt16LE(0)
  return value?.length === 1 ? value[0] : undefined
}

const largestIndex = 0x7fffffff

/**
 * An interface's number in a message's header. The kernel's are positive and of type int, so that one with another bit
 * set is no interface's; it could not be asked for again, being too large for one field or negative in another.
 */
export const readIndexAt = (body: Buffer, offset: number): number => body.readUInt32LE(offset) & largestIndex

/** The same in an attribute; 0 if it is missing. */
export const readIndex = (value: Buffer | undefined): number => (readNumber(value) ?? 0) & largestIndex

/** An unsigned 32-bit number in network byte order; undefined if it is missing or has another size. */
export const readU32be = (value: Buffer | undefined): number | undefined =>
  value?.length === 4 ? value.readUInt32BE(0) : undefined
