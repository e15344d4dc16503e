/**
 * Netlink messages and their attributes as bytes: the one place where they are written and read, and the one that imports
 * the netlink package. Attributes are written straight into one buffer instead of through the package's AttrStream: a rule
 * of nf_tables has some forty of them, a plugin's process makes a dozen rules before anything is compiled hot, and a buffer
 * for each number would cost it half a millisecond.
 */
import { countLength, formatMessage, getPadding, type NetlinkMessage } from 'netlink/dist/structs'

/** An answer of the kernel that is not an acknowledgement; its `data` is the message's body. */
export type Reply = Pick<NetlinkMessage, 'type' | 'flags' | 'seq' | 'data'>

/** <linux/netlink.h> */
export const NLM_F_MULTI = 0x2
export const NLM_F_DUMP_INTR = 0x10
/** Types below are the protocol's own: errors, the end of a dump. */
const NLMSG_MIN_TYPE = 0x10

// struct nlmsghdr {                               offset
//   __u32 nlmsg_len;                              0
//   __u16 nlmsg_type, nlmsg_flags;                4, 6
//   __u32 nlmsg_seq, nlmsg_pid;                   8, 12
// };                                              16 bytes
const SIZEOF_NLMSGHDR = 16

/** Is it one of many entries of a list, with nothing to say about the list itself? */
const isEntry = (type: number, flags: number): boolean =>
  type >= NLMSG_MIN_TYPE && (flags & NLM_F_MULTI) !== 0 && (flags & NLM_F_DUMP_INTR) === 0

/**
 * Which entries of a list are worth reading: asked once for each datagram, the answer for each entry in it, whose body
 * is from `start` to before `end`. Most of what reading a long list costs is making objects of its entries.
 */
export type EntryFilter = (datagram: Buffer) => (start: number, end: number) => boolean

/** Entries that have these bytes somewhere. */
export const holding =
  (bytes: Uint8Array): EntryFilter =>
  datagram => {
    let hit = datagram.indexOf(bytes)
    return (start, end) => {
      if (hit >= 0 && hit < start) hit = datagram.indexOf(bytes, start)
      return hit >= 0 && hit < end
    }
  }

/**
 * The messages in a datagram; of the entries of a list only those that `filter` lets through. Throws on a length that
 * cannot be.
 */
export const readMessages = (datagram: Buffer, filter?: EntryFilter): Reply[] => {
  const messages: Reply[] = []
  const wanted = filter?.(datagram)
  for (let at = 0; at < datagram.length; ) {
    if (datagram.length - at < SIZEOF_NLMSGHDR) throw new Error('a message is cut off')
    const length = datagram.readUInt32LE(at)
    const end = at + length
    if (length < SIZEOF_NLMSGHDR || end > datagram.length) throw new Error(`a message of ${length} bytes`)
    const type = datagram.readUInt16LE(at + 4)
    const flags = datagram.readUInt16LE(at + 6)
    const start = at + SIZEOF_NLMSGHDR
    if (!wanted || !isEntry(type, flags) || wanted(start, end)) {
      messages.push({ type, flags, seq: datagram.readUInt32LE(at + 8), data: datagram.subarray(start, end) })
    }
    // The next one begins at a multiple of four.
    at += (length + 3) & ~3
  }
  return messages
}

export {
  putString,
  putU8,
  putU16,
  putU16be,
  putU32,
  putU32be,
  putU64,
} from 'netlink/dist/structs'

/** A message to send, as bytes in pieces: its header and its body. */
export const messageBytes = (
  header: { readonly type: number; readonly flags: number; readonly seq: number },
  body: readonly Uint8Array[],
): Uint8Array[] => formatMessage({ ...header, port: 0, data: [...body] })

/** Messages behind one another in one datagram, each at a multiple of four. */
export const joinMessages = (messages: readonly (readonly Uint8Array[])[]): Buffer =>
  Buffer.concat(messages.flatMap(message => [...message, getPadding(countLength([...message]))]))

/** One attribute to send. An undefined value leaves the attribute out; a list is a nest of attributes. */
export type Attribute = readonly [type: number, value: Uint8Array | readonly Attribute[] | undefined]

/**
 * The same for nf_tables, where a number is a 32-bit one in network byte order, as nearly all of its are, and a text gets its
 * NUL.
 */
export type NftAttribute = readonly [type: number, value: NftAttributeValue]

type NftAttributeValue = number | string | Uint8Array | readonly NftAttribute[] | undefined

// <linux/netlink.h>                               offset
// struct nlattr {
//   __u16 nla_len;                                0, with these four bytes and without padding
//   __u16 nla_type;                               2, its two highest bits are flags
// };                                              4 bytes, each at a multiple of four
const SIZEOF_NLATTR = 4
const highByteOfType = 0x3f

/** How a family of messages writes nests: the flag in their type, and whether their length has the last padding in it. */
type NestForm = { readonly flag: number; readonly isPadded: boolean }

const NLA_F_NESTED = 1 << 15
const plainNests: NestForm = { flag: 0, isPadded: false }
const nftNests: NestForm = { flag: NLA_F_NESTED, isPadded: true }

// The length of an attribute has 16 bits, and no message here comes near.
const bufferBytes = 64 * 1024
let buffer: Buffer | undefined

const writeU32be = (target: Buffer, value: number, at: number): void => {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

type WrittenValue = Exclude<NftAttributeValue, undefined>

const writeValue = (target: Buffer, value: WrittenValue, at: number, form: NestForm): number => {
  if (typeof value === 'number') {
    writeU32be(target, value, at)
    return at + 4
  }
  if (typeof value === 'string') {
    const end = at + target.write(value, at)
    target[end] = 0
    return end + 1
  }
  if (value instanceof Uint8Array) {
    target.set(value, at)
    return at + value.length
  }
  return writeAttributes(target, value, at, form)
}

/** Writes zeros from `at` to the next multiple of four, which is returned. */
const padFrom = (target: Buffer, at: number): number => {
  let next = at
  while (next % 4 !== 0) target[next++] = 0
  return next
}

/** Writes the attributes from `at` on and returns where they end. */
const writeAttributes = (
  target: Buffer,
  attributes: readonly NftAttribute[],
  at: number,
  form: NestForm,
): number => {
  let end = at
  for (const [type, value] of attributes) {
    if (value === undefined) continue
    const start = padFrom(target, end)
    end = writeValue(target, value, start + SIZEOF_NLATTR, form)
    const length = end - start
    const flaggedType = Array.isArray(value) ? type | form.flag : type
    target[start] = length
    target[start + 1] = length >>> 8
    target[start + 2] = flaggedType
    target[start + 3] = flaggedType >>> 8
    if (form.isPadded) end = padFrom(target, end)
  }
  return end
}

const bodyOf = (header: Uint8Array, attributes: readonly NftAttribute[], form: NestForm): Buffer => {
  buffer ??= Buffer.allocUnsafeSlow(bufferBytes)
  buffer.set(header)
  const end = writeAttributes(buffer, attributes, header.length, form)
  if (end > buffer.length) throw new RangeError(`netlink message of ${end} bytes`)
  return Buffer.from(buffer.subarray(0, end))
}

/** A message's body: its fixed header and the attributes behind it. Throws a RangeError for more than 64 KiB. */
export const messageBody = (header: Uint8Array, attributes: readonly Attribute[]): Uint8Array[] => [
  bodyOf(header, attributes, plainNests),
]

/** The same for nf_tables. */
export const nftBody = (header: Uint8Array, attributes: readonly NftAttribute[]): Buffer =>
  bodyOf(header, attributes, nftNests)

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
