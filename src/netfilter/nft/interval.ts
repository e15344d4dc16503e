/**
 * The elements of interval sets. For a single value the kernel keeps the borders: an element where the interval begins
 * and one, flagged NFT_SET_ELEM_INTERVAL_END, where it has ended. One that reaches to the last address of the space has
 * no end. For a concatenation it keeps the first and the last key in one element (Linux 5.6).
 */
import { type Addr, addrBytes, addrFromBytes } from '../../ip/addr'
import { type Cidr, lastAddr, networkOf } from '../../ip/cidr'
import { encodeFields } from './concat'
import { decodeValue, encodeValue, isCidr, isRange, type NftType, type NftValue } from './value'
import { NFT_SET_ELEM_INTERVAL_END, type ReadSetElem, type SetElem } from './wire/set-elem'

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
export const intervalBorders = (type: NftType, value: NftValue): { borders: SetElem[]; open: boolean } => {
  const first = firstOf(type, value)
  const last = lastOf(type, value)
  if (first.compare(last) > 0) throw new RangeError('an interval that ends before it begins')
  const end = step(last, 1)
  const borders: SetElem[] = [{ key: first }]
  if (end) borders.push({ key: end, flags: NFT_SET_ELEM_INTERVAL_END })
  return { borders, open: end === undefined }
}

/** The first and the last key of a concatenation with intervals. */
export const concatInterval = (types: readonly NftType[], values: readonly NftValue[]): SetElem => ({
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

/** What lies between two keys: a single value, else a network if it is one, else a range. */
export const intervalValue = (type: NftType, first: Buffer, last: Buffer): NftValue => {
  if (first.equals(last)) return decodeValue(type, first)
  const isAddress = type === 'ipv4_addr' || type === 'ipv6_addr'
  const [from, to] = isAddress ? [addrFromBytes(first), addrFromBytes(last)] : []
  if (from && to) return prefixOf(from, to) ?? { first: from, last: to }
  return { first: first.readUIntBE(0, first.length), last: last.readUIntBE(0, last.length) }
}

/** The intervals whose borders the kernel listed, in ascending order, each with the element it begins with. */
export const pairBorders = (elements: readonly ReadSetElem[]): { first: ReadSetElem; last: Buffer }[] => {
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
