import ipaddr from 'ipaddr.js'

/** An IP family as the CNI specification writes it. */
export type Family = 4 | 6

/** One IP address: its family and its bits as one number, the first byte on the wire being the highest. */
export type Addr = { readonly family: Family; readonly bits: bigint }

/** The bits of an address of `family`: 32 or 128. */
export const widthOf = (family: Family): number => (family === 4 ? 32 : 128)

/** <linux/socket.h>: AF_INET, AF_INET6. */
export const addressFamily = (family: Family): number => (family === 4 ? 2 : 10)

const fromBytes = (bytes: readonly number[]): bigint => {
  let bits = 0n
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte)
  return bits
}

/** The longest text of an address, <netinet/in.h> INET6_ADDRSTRLEN without its zero: six groups and an IPv4 address. */
const maxAddrLength = 45

/**
 * Reads an address in the forms Go's net.ParseIP takes: four decimal parts without leading zeros, or IPv6 without a
 * zone. An IPv4-mapped IPv6 address is that IPv4 address, as in Go. Anything else is undefined.
 */
export const parseAddr = (text: string): Addr | undefined => {
  // Matching a text of megabytes takes gigabytes.
  if (text.length > maxAddrLength) return undefined
  // ipaddr.js alone would take "10.1" and "012.0.0.1" for 10.0.0.1.
  if (ipaddr.IPv4.isValidFourPartDecimal(text) && !/(^|\.)0\d/.test(text)) {
    return { family: 4, bits: fromBytes(ipaddr.IPv4.parse(text).toByteArray()) }
  }
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined
  const parsed = ipaddr.IPv6.parse(text)
  if (parsed.isIPv4MappedAddress())
    return { family: 4, bits: fromBytes(parsed.toIPv4Address().toByteArray()) }
  return { family: 6, bits: fromBytes(parsed.toByteArray()) }
}

/** The address in network byte order: 4 or 16 bytes. */
export const addrBytes = (addr: Addr): Buffer => {
  const bytes = Buffer.alloc(widthOf(addr.family) / 8)
  let rest = addr.bits
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

/** The address that `bytes` hold in network byte order; undefined unless there are 4 or 16 of them. */
export const addrFromBytes = (bytes: Uint8Array): Addr | undefined => {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined
  return { family: bytes.length === 4 ? 4 : 6, bits: fromBytes([...bytes]) }
}

/** The address in its canonical text (RFC 5952), which is also its name in host-local's store. */
export const formatAddr = (addr: Addr): string => {
  const bytes = [...addrBytes(addr)]
  return addr.family === 4 ? bytes.join('.') : new ipaddr.IPv6(bytes).toRFC5952String()
}

export const addrEquals = (a: Addr, b: Addr): boolean => a.family === b.family && a.bits === b.bits

/** Negative, zero or positive as `a` is below, equal to or above `b`; IPv4 is below IPv6. */
export const compareAddr = (a: Addr, b: Addr): number => {
  if (a.family !== b.family) return a.family - b.family
  return a.bits === b.bits ? 0 : a.bits < b.bits ? -1 : 1
}

/** The address that follows. The last one of its family is followed by the first. */
export const nextAddr = (addr: Addr): Addr => ({
  family: addr.family,
  bits: (addr.bits + 1n) & ((1n << BigInt(widthOf(addr.family))) - 1n),
})

/** Is it in 127.0.0.0/8, or ::1? */
export const isLoopback = (addr: Addr): boolean =>
  addr.family === 4 ? addr.bits >> 24n === 127n : addr.bits === 1n

/** Is it in 169.254.0.0/16 or fe80::/10? */
export const isLinkLocal = (addr: Addr): boolean =>
  addr.family === 4 ? addr.bits >> 16n === 0xa9fen : addr.bits >> 118n === 0x3fan
