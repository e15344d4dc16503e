/**
 * The attributes of nf_tables messages. They are written straight into one buffer instead of through the netlink
 * package's AttrStream: a rule has some forty of them, a plugin's process makes a dozen rules before anything is
 * compiled hot, and a buffer for each number would cost it half a millisecond.
 */

/**
 * One attribute to send: a number is a 32-bit one in network byte order, as nearly all of nf_tables are, a text gets
 * its NUL, a list is a nest of attributes; an undefined value leaves the attribute out.
 */
export type NftAttribute = readonly [type: number, value: NftAttributeValue]

type NftAttributeValue = number | string | Uint8Array | readonly NftAttribute[] | undefined

// The length of an attribute has 16 bits, and no message here comes near.
const bufferBytes = 64 * 1024
let buffer: Buffer | undefined

// <linux/netlink.h>                               offset
// struct nlattr {
//   __u16 nla_len;                                0     with this header, without the padding behind the value
//   __u16 nla_type;                               2
// };                                              4 bytes, then the value, filled up to four bytes
const SIZEOF_NLATTR = 4
const NLA_F_NESTED = 1 << 15

const writeU32be = (target: Buffer, value: number, at: number): void => {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

const writeValue = (target: Buffer, value: Exclude<NftAttributeValue, undefined>, at: number): number => {
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
  return writeAttributes(target, value, at)
}

/** Writes the attributes from `at` on and returns where they end. */
const writeAttributes = (target: Buffer, attributes: readonly NftAttribute[], at: number): number => {
  let next = at
  for (const [type, value] of attributes) {
    if (value === undefined) continue
    const start = next
    next = writeValue(target, value, start + SIZEOF_NLATTR)
    const length = next - start
    target[start] = length
    target[start + 1] = length >>> 8
    const flaggedType = Array.isArray(value) ? type | NLA_F_NESTED : type
    target[start + 2] = flaggedType
    target[start + 3] = flaggedType >>> 8
    while (next % 4 !== 0) target[next++] = 0
  }
  return next
}

/** A message's body: its fixed header and the attributes behind it. Throws a RangeError for more than 64 KiB. */
export const nftBody = (header: Uint8Array, attributes: readonly NftAttribute[]): Buffer => {
  buffer ??= Buffer.allocUnsafeSlow(bufferBytes)
  buffer.set(header)
  const end = writeAttributes(buffer, attributes, header.length)
  if (end > buffer.length) throw new RangeError(`nftables message of ${end} bytes`)
  return Buffer.from(buffer.subarray(0, end))
}
