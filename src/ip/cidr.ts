import { type Addr, addrEquals, type Family, formatAddr, nextAddr, parseAddr, widthOf } from './addr'

/** An address with the length of its network's prefix. `addr` may have host bits: 10.1.2.3/24 is one. */
export type Cidr = { readonly addr: Addr; readonly prefix: number }

/** Reads `address/prefix`, keeping the host bits. Anything else, a bare address included, is undefined. */
export const parseCidr = (text: string): Cidr | undefined => {
  const slash = text.indexOf('/')
  if (slash < 0) return undefined
  const addr = parseAddr(text.slice(0, slash))
  const length = text.slice(slash + 1)
  if (!addr || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined
  // An IPv4-mapped address counts its prefix from the IPv6 start: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const prefix = Number(length) - (addr.family === 4 && text.includes(':') ? 96 : 0)
  return prefix >= 0 && prefix <= widthOf(addr.family) ? { addr, prefix } : undefined
}

/** A network that is written in the program itself. Throws for a text that is none: a typo must not become another network. */
export const literalCidr = (text: string): Cidr => {
  const cidr = parseCidr(text)
  if (!cidr || !isNetwork(cidr)) throw new Error(`${JSON.stringify(text)} is no network`)
  return cidr
}

export const formatCidr = (cidr: Cidr): string => `${formatAddr(cidr.addr)}/${cidr.prefix}`

const hostMask = (cidr: Cidr): bigint => (1n << BigInt(widthOf(cidr.addr.family) - cidr.prefix)) - 1n

/** The network of an address: 10.1.2.0/24 of 10.1.2.3/24. */
export const networkOf = (cidr: Cidr): Cidr => ({
  addr: { family: cidr.addr.family, bits: cidr.addr.bits & ~hostMask(cidr) },
  prefix: cidr.prefix,
})

/** Does it name a network, with no host bits? */
export const isNetwork = (cidr: Cidr): boolean => (cidr.addr.bits & hostMask(cidr)) === 0n

/** The last address of the network: 10.1.2.255 of 10.1.2.0/24, for IPv4 its broadcast address. */
export const lastAddr = (cidr: Cidr): Addr => ({
  family: cidr.addr.family,
  bits: cidr.addr.bits | hostMask(cidr),
})

/** The first address after the network's own: the gateway unless configured otherwise. */
export const firstHost = (cidr: Cidr): Addr => nextAddr(networkOf(cidr).addr)

/** Is `addr` in the network of `cidr`? */
export const cidrContains = (cidr: Cidr, addr: Addr): boolean =>
  addr.family === cidr.addr.family && (addr.bits | hostMask(cidr)) === (cidr.addr.bits | hostMask(cidr))

/** Have the two networks an address in common? */
export const cidrOverlaps = (a: Cidr, b: Cidr): boolean => cidrContains(a, b.addr) || cidrContains(b, a.addr)

export const cidrEquals = (a: Cidr, b: Cidr): boolean => a.prefix === b.prefix && addrEquals(a.addr, b.addr)

/** All addresses of one family: 0.0.0.0/0 or ::/0. */
export const everywhere = (family: Family): Cidr => ({ addr: { family, bits: 0n }, prefix: 0 })
