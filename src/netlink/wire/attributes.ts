import { AttrStream, parseAttributes } from 'netlink/dist/structs'

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

/** The attributes in `data` by their type; of two with one type the last. Throws on a length that can't be. */
export const readAttributes = (data: Buffer): Map<number, Buffer> => {
  const attributes = new Map<number, Buffer>()
  parseAttributes(data, ({ type, data: value }) => attributes.set(type, value))
  return attributes
}

/** The attributes in `data` in their order, for lists in which a type stands many times. Throws as above. */
export const readAttributeList = (data: Buffer): { type: number; value: Buffer }[] => {
  const attributes: { type: number; value: Buffer }[] = []
  parseAttributes(data, ({ type, data: value }) => attributes.push({ type, value }))
  return attributes
}

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
