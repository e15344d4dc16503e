/** An Ethernet address as six bytes in lower-case hex, divided by colons: the only form a CNI result has. */
export type Mac = string

/** Reads a MAC divided by colons or dashes, in either case; undefined if it is not six bytes. */
export const parseMac = (text: string): Mac | undefined =>
  /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text) ? text.toLowerCase().replaceAll('-', ':') : undefined

export const macBytes = (mac: Mac): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex')

export const formatMac = (bytes: Uint8Array): Mac =>
  Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join(':')

/** A unicast, locally administered MAC (IEEE 802 c.4) from the first six bytes of `hex`: equal for equal input. */
export const macFromHash = (hex: string): Mac => {
  const bytes = Buffer.from(hex.slice(0, 12), 'hex')
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02
  return formatMac(bytes)
}
