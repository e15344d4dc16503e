/**
 * Of Node's Buffer what the plugins use, with the same results: a test keeps watch that they use nothing else. In as few
 * steps as can be, for each is interpreted: with the package "buffer", which has all of it, they took a tenth of an ADD.
 */
import { decode, encode, find } from './kernel'

const isUtf8 = (encoding: string): boolean => encoding === 'utf8' || encoding === 'utf-8'

const unknown = (encoding: string): TypeError => new TypeError(`Unknown encoding: ${encoding}`)

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const outside = (): RangeError => new RangeError('Attempt to access memory outside buffer bounds')

/** Throws unless there are such bytes, of which this is the first and the last, and the value fits into them. */
const requireFit = (
  first: number | undefined,
  last: number | undefined,
  value: number,
  least: number,
  most: number,
): void => {
  if (first === undefined || last === undefined) throw outside()
  if (value < least || value > most) throw new RangeError(`The value ${value} is out of range`)
}

const putLE = (bytes: Uint8Array, value: number, offset: number): void => {
  bytes[offset] = value
  bytes[offset + 1] = value >>> 8
  bytes[offset + 2] = value >>> 16
  bytes[offset + 3] = value >>> 24
}

const putBE = (bytes: Uint8Array, value: number, offset: number): void => {
  bytes[offset] = value >>> 24
  bytes[offset + 1] = value >>> 16
  bytes[offset + 2] = value >>> 8
  bytes[offset + 3] = value
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength)

// Without private methods: each object that has some is marked when it is made.
class Bytes extends Uint8Array {
  readUInt8(offset = 0): number {
    const byte = this[offset]
    if (byte === undefined) throw outside()
    return byte
  }

  readUInt16LE(offset = 0): number {
    const low = this[offset]
    const high = this[offset + 1]
    if (low === undefined || high === undefined) throw outside()
    return (high << 8) | low
  }

  readUInt16BE(offset = 0): number {
    const high = this[offset]
    const low = this[offset + 1]
    if (low === undefined || high === undefined) throw outside()
    return (high << 8) | low
  }

  readInt32LE(offset = 0): number {
    const low = this[offset]
    const high = this[offset + 3]
    if (low === undefined || high === undefined) throw outside()
    return (high << 24) | ((this[offset + 2] ?? 0) << 16) | ((this[offset + 1] ?? 0) << 8) | low
  }

  readInt32BE(offset = 0): number {
    const high = this[offset]
    const low = this[offset + 3]
    if (low === undefined || high === undefined) throw outside()
    return (high << 24) | ((this[offset + 1] ?? 0) << 16) | ((this[offset + 2] ?? 0) << 8) | low
  }

  readUInt32LE(offset = 0): number {
    return this.readInt32LE(offset) >>> 0
  }

  readUInt32BE(offset = 0): number {
    return this.readInt32BE(offset) >>> 0
  }

  /** A number of up to six bytes. */
  readUIntBE(offset: number, byteLength: number): number {
    if (byteLength < 1 || byteLength > 6) throw new RangeError(`no number has ${byteLength} bytes`)
    let number = 0
    for (let at = offset; at < offset + byteLength; at++) number = number * 256 + this.readUInt8(at)
    return number
  }

  readBigUInt64LE(offset = 0): bigint {
    return viewOf(this).getBigUint64(offset, true)
  }

  readBigUInt64BE(offset = 0): bigint {
    return viewOf(this).getBigUint64(offset)
  }

  writeUInt8(value: number, offset = 0): void {
    requireFit(this[offset], this[offset], value, 0, 0xff)
    this[offset] = value
  }

  writeUInt16LE(value: number, offset = 0): void {
    requireFit(this[offset], this[offset + 1], value, 0, 0xffff)
    this[offset] = value
    this[offset + 1] = value >>> 8
  }

  writeUInt16BE(value: number, offset = 0): void {
    requireFit(this[offset], this[offset + 1], value, 0, 0xffff)
    this[offset] = value >>> 8
    this[offset + 1] = value
  }

  writeUInt32LE(value: number, offset = 0): void {
    requireFit(this[offset], this[offset + 3], value, 0, 0xffffffff)
    putLE(this, value, offset)
  }

  writeUInt32BE(value: number, offset = 0): void {
    requireFit(this[offset], this[offset + 3], value, 0, 0xffffffff)
    putBE(this, value, offset)
  }

  writeInt32LE(value: number, offset = 0): void {
    requireFit(this[offset], this[offset + 3], value, -0x80000000, 0x7fffffff)
    putLE(this, value, offset)
  }

  writeInt32BE(value: number, offset = 0): void {
    requireFit(this[offset], this[offset + 3], value, -0x80000000, 0x7fffffff)
    putBE(this, value, offset)
  }

  writeBigInt64LE(value: bigint, offset = 0): void {
    viewOf(this).setBigInt64(offset, value, true)
  }

  writeBigUInt64LE(value: bigint, offset = 0): void {
    viewOf(this).setBigUint64(offset, value, true)
  }

  writeBigUInt64BE(value: bigint, offset = 0): void {
    viewOf(this).setBigUint64(offset, value)
  }

  /** Puts text in; answers how many bytes it is. Throws a RangeError if it does not fit, where Node.js cuts it off. */
  write(text: string, offset = 0): number {
    const bytes = new Uint8Array(encode(text))
    this.set(bytes, offset)
    return bytes.length
  }

  copy(target: Uint8Array, at = 0): number {
    target.set(this, at)
    return this.length
  }

  compare(other: Uint8Array): number {
    return compare(this, other)
  }

  equals(other: Uint8Array): boolean {
    return compare(this, other) === 0
  }

  /** Where a byte or a sequence of them begins first, from `start` on; -1 if nowhere. */
  override indexOf(wanted: number | Uint8Array, start = 0): number {
    if (typeof wanted === 'number') return super.indexOf(wanted, start)
    return find(this, wanted, Math.min(start, this.length))
  }

  override includes(wanted: number | Uint8Array, start = 0): boolean {
    return this.indexOf(wanted, start) >= 0
  }

  override toString(encoding = 'utf8', start = 0, end = this.length): string {
    const first = Math.max(start, 0)
    const last = Math.min(end, this.length)
    if (isUtf8(encoding)) return first < last ? decode(this, first, last) : ''
    if (encoding === 'latin1') return String.fromCharCode(...this.subarray(first, last))
    if (encoding === 'base64') return base64Of(this.subarray(first, last))
    if (encoding !== 'hex') throw unknown(encoding)
    return Array.from(this.subarray(first, last), byte => hexOfByte[byte]).join('')
  }
}

/** The bytes of pairs of digits, up to what is none. */
const bytesOfHex = (text: string): number[] =>
  (/^([0-9a-f]{2})*/i.exec(text)?.[0].match(/../g) ?? []).map(digits => Number.parseInt(digits, 16))

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** RFC 4648, section 4. */
const base64Of = (bytes: Uint8Array): string => {
  let text = ''
  for (let at = 0; at < bytes.length; at += 3) {
    const word = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0)
    const count = Math.min(3, bytes.length - at) + 1
    for (let digit = 0; digit < 4; digit++)
      text += digit < count ? digits.charAt((word >> (18 - 6 * digit)) & 63) : '='
  }
  return text
}

/** The bytes of digits of base64, also those for URLs; what is none is skipped, and "=" is the end. */
const bytesOfBase64 = (text: string): number[] => {
  const bytes: number[] = []
  let word = 0
  let bits = 0
  for (const character of text) {
    if (character === '=') break
    const value = digits.indexOf(character === '-' ? '+' : character === '_' ? '/' : character)
    if (value < 0) continue
    word = ((word << 6) | value) & 0xfff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes.push((word >> bits) & 0xff)
  }
  return bytes
}

const bytesOfText = (text: string, encoding: string): Bytes => {
  if (isUtf8(encoding)) return new Bytes(encode(text))
  if (encoding === 'base64') return new Bytes(bytesOfBase64(text))
  if (encoding !== 'hex') throw unknown(encoding)
  return new Bytes(bytesOfHex(text))
}

const compare = (a: Uint8Array, b: Uint8Array): number => {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return Math.sign(difference)
  }
  return Math.sign(a.length - b.length)
}

/** `value` is text, or bytes, which are copied. */
const from = (value: string | ArrayLike<number>, encoding = 'utf8'): Bytes =>
  typeof value === 'string' ? bytesOfText(value, encoding) : new Bytes(value)

const alloc = (length: number, fill = 0): Bytes =>
  fill === 0 ? new Bytes(length) : new Bytes(length).fill(fill)

const concat = (list: readonly Uint8Array[]): Bytes => {
  let length = 0
  for (const bytes of list) length += bytes.length
  const whole = new Bytes(length)
  let at = 0
  for (const bytes of list) {
    whole.set(bytes, at)
    at += bytes.length
  }
  return whole
}

const byteLength = (text: string): number => encode(text).byteLength

// Not static methods: Uint8Array has a "from" of its own, which takes other things.
export const Buffer = Object.assign(Bytes, {
  alloc,
  allocUnsafe: alloc,
  allocUnsafeSlow: alloc,
  byteLength,
  compare,
  concat,
  from,
})
