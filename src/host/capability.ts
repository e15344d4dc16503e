import { readFileSync } from 'node:fs'

/** <linux/capability.h> */
const bits = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n } as const

type Capability = keyof typeof bits

const readEffective = (): bigint | undefined => {
  try {
    const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return hex === undefined ? undefined : BigInt(`0x${hex}`)
  } catch {
    return undefined // no /proc
  }
}

/** Those of `wanted` that this process does not have: capabilities(7). None where that can't be told. */
export const missingCapabilities = (wanted: readonly Capability[]): Capability[] => {
  const effective = readEffective()
  return effective === undefined ? [] : wanted.filter(name => !((effective >> bits[name]) & 1n))
}
