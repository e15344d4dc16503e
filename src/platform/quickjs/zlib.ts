/** node:zlib for programs that are made of QuickJS: what unpacks a file of gzip, as /proc/config.gz is (RFC 1951, 1952). */
import { Buffer } from './buffer'

const damaged = (what: string): Error => new Error(`incorrect data of gzip: ${what}`)

/** Reads bits, of each byte the lowest first. */
class BitReader {
  readonly #bytes: Uint8Array
  #at: number
  #held = 0
  #count = 0

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  /** A number of `count` bits, 16 at most. */
  take(count: number): number {
    while (this.#count < count) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw damaged('it ends too early')
      this.#held |= byte << this.#count
      this.#count += 8
    }
    const number = this.#held & ((1 << count) - 1)
    this.#held >>>= count
    this.#count -= count
    return number
  }

  /** Bytes from the next whole one on. */
  takeBytes(count: number): Uint8Array {
    const bytes = this.#bytes.subarray(this.#at, this.#at + count)
    if (bytes.length < count) throw damaged('it ends too early')
    this.#at += count
    return bytes
  }

  /** Drops what is left of a byte. */
  align(): void {
    this.#held = 0
    this.#count = 0
  }
}

/** A code of Huffman: how many words there are of each length, and the symbols in the order of their words. */
type Code = { readonly counts: readonly number[]; readonly symbols: readonly number[] }

const longestWord = 15

const codeOf = (lengths: readonly number[]): Code => {
  const counts = new Array<number>(longestWord + 1).fill(0)
  const symbols: number[] = []
  for (let length = 1; length <= longestWord; length++)
    for (const [symbol, own] of lengths.entries()) {
      if (own !== length) continue
      counts[length] = (counts[length] ?? 0) + 1
      symbols.push(symbol)
    }
  return { counts, symbols }
}

/** Reads one symbol. Words of one length are numbers that follow each other, and those of the next come behind them. */
const symbolOf = (bits: BitReader, { counts, symbols }: Code): number => {
  let word = 0
  let first = 0
  let index = 0
  for (let length = 1; length <= longestWord; length++) {
    word |= bits.take(1)
    const count = counts[length] ?? 0
    if (word - first < count) return symbols[index + word - first] ?? 0
    index += count
    first = (first + count) << 1
    word <<= 1
  }
  throw damaged('an unknown word')
}

// RFC 1951, 3.2.5: what lengths and distances begin at, and the bits that are added.
const lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const lengths = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
]
const distanceBits = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]
const distances = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
]
/** The order in which a block has the lengths of the code for lengths. */
const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

const fixedLengths = Array.from({ length: 288 }, (_, symbol) =>
  symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
)

type Codes = { readonly literals: Code; readonly distances: Code }

const readCodes = (bits: BitReader): Codes => {
  const literalCount = bits.take(5) + 257
  const distanceCount = bits.take(5) + 1
  const own = new Array<number>(order.length).fill(0)
  for (const symbol of order.slice(0, bits.take(4) + 4)) own[symbol] = bits.take(3)
  const code = codeOf(own)
  const found: number[] = []
  while (found.length < literalCount + distanceCount) {
    const symbol = symbolOf(bits, code)
    if (symbol < 16) found.push(symbol)
    else {
      const repeated = symbol === 16 ? (found.at(-1) ?? 0) : 0
      const times = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7)
      for (let i = 0; i < times; i++) found.push(repeated)
    }
  }
  const end = literalCount + distanceCount
  return { literals: codeOf(found.slice(0, literalCount)), distances: codeOf(found.slice(literalCount, end)) }
}

const endOfBlock = 256

const unpackBlock = (bits: BitReader, codes: Codes, output: number[]): void => {
  for (;;) {
    const symbol = symbolOf(bits, codes.literals)
    if (symbol === endOfBlock) return
    if (symbol < endOfBlock) {
      output.push(symbol)
      continue
    }
    const length = (lengths[symbol - 257] ?? 0) + bits.take(lengthBits[symbol - 257] ?? 0)
    const code = symbolOf(bits, codes.distances)
    const start = output.length - (distances[code] ?? 0) - bits.take(distanceBits[code] ?? 0)
    if (start < 0) throw damaged('it goes back before its beginning')
    for (let at = start; at < start + length; at++) output.push(output[at] ?? 0)
  }
}

const FHCRC = 2
const FEXTRA = 4
const FNAME = 8
const FCOMMENT = 16

/** Where the packed bytes begin, behind the header. */
const headerEnd = (bytes: Uint8Array): number => {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8) throw damaged('incorrect header check')
  const flags = bytes[3] ?? 0
  let at = 10
  if (flags & FEXTRA) at += 2 + (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0)
  for (const flag of [FNAME, FCOMMENT]) if (flags & flag) at = bytes.indexOf(0, at) + 1
  return flags & FHCRC ? at + 2 : at
}

/** The bytes that are packed in a file of gzip with one member. Their checksum is not looked at. */
export const gunzipSync = (packed: Uint8Array): Uint8Array => {
  const bits = new BitReader(packed, headerEnd(packed))
  const output: number[] = []
  for (let isLast = false; !isLast; ) {
    isLast = bits.take(1) === 1
    const kind = bits.take(2)
    if (kind === 0) {
      bits.align()
      const length = bits.take(16)
      bits.take(16)
      for (const byte of bits.takeBytes(length)) output.push(byte)
    } else if (kind === 1) {
      unpackBlock(bits, { literals: codeOf(fixedLengths), distances: codeOf(new Array(30).fill(5)) }, output)
    } else if (kind === 2) unpackBlock(bits, readCodes(bits), output)
    else throw damaged('an unknown kind of block')
  }
  return Buffer.from(output)
}
