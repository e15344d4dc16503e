import type { Addr } from './addr'

/** An Ethernet address as six bytes in lower-case hex, divided by colons: the only form a CNI result has. */
export type Mac = string

/**
 * Reads a MAC in the forms Go takes, in either case: bytes divided by colons or dashes, or twos of them by dots
 * ("0a58.0a01.0203"); undefined if it is not six bytes.
 */
export const parseMac = (text: string): Mac | undefined => {
  const isMac =
    /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text) || /^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/i.test(text)
  return isMac ? formatMac(Buffer.from(text.replaceAll(/[:.-]/g, ''), 'hex')) : undefined
}

export const macBytes = (mac: Mac): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex')

export const formatMac = (bytes: Uint8Array): Mac =>
  Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':')

/** A unicast, locally administered MAC (IEEE 802 c.4) from the first six bytes of `hex`: equal for equal input. */
export const macFromHash = (hex: string): Mac => {
  const bytes = Buffer.from(hex.slice(0, 12), 'hex')
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02
  return formatMac(bytes)
}

/** The link-local address that the kernel makes of a MAC: fe80::/64 and its modified EUI-64 (RFC 4291, appendix A). */
export const linkLocalOf = (mac: Mac): Addr => {
  const [first = 0, ...rest] = macBytes(mac)
  const identifier = Buffer.from([first ^ 0x02, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)])
  return { family: 6, bits: (0xfe80n << 112n) | identifier.readBigUInt64BE(0) }
}
