/**
 * Node's Buffer, by the package "buffer", with UTF-8 done by the engine: letter by letter in interpreted code it would
 * be what a call spends most of its time on.
 */
import { Buffer } from 'buffer/'
import { decode, encode } from './kernel'

const isUtf8 = (encoding: unknown): boolean =>
  encoding === undefined || encoding === 'utf8' || encoding === 'utf-8'

const { from, byteLength } = Buffer
const { toString: toText } = Buffer.prototype

Object.assign(Buffer, {
  from: (value: unknown, encoding?: unknown, length?: unknown) =>
    typeof value === 'string' && isUtf8(encoding)
      ? Reflect.apply(from, Buffer, [encode(value)])
      : Reflect.apply(from, Buffer, [value, encoding, length]),
  byteLength: (value: unknown, encoding?: unknown) =>
    typeof value === 'string' && isUtf8(encoding)
      ? encode(value).byteLength
      : Reflect.apply(byteLength, Buffer, [value, encoding]),
})

Object.assign(Buffer.prototype, {
  toString(this: Buffer, encoding?: string, start = 0, end = this.length) {
    if (!isUtf8(encoding)) return Reflect.apply(toText, this, [encoding, start, end])
    const first = Math.max(start, 0)
    const last = Math.min(end, this.length)
    return first < last ? decode(this, first, last) : ''
  },
})

export { Buffer }
