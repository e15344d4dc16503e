/** The rights of this process. */
import { readFileSync } from 'node:fs'
import { CniError, ErrorCode } from './error'

/** <linux/capability.h> */
const bits = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n } as const

type Capability = keyof typeof bits

/** The capabilities to enter a container's network namespace and to change it. */
export const networkCapabilities = ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'] as const

const readEffective = (): bigint | undefined => {
  try {
    const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return hex === undefined ? undefined : BigInt(`0x${hex}`)
  } catch {
    return undefined // no /proc
  }
}

/** Those of `wanted` that this process does not have: capabilities(7). None where that cannot be told. */
export const missingCapabilities = (wanted: readonly Capability[]): Capability[] => {
  const effective = readEffective()
  return effective === undefined ? [] : wanted.filter(name => !((effective >> bits[name]) & 1n))
}

/** Throws code 50 unless this process may enter a container's network namespace and change what is in it. */
export const requirePrivilege = (plugin: string): void => {
  const missing = missingCapabilities(networkCapabilities)
  if (missing.length === 0) return
  throw new CniError(
    ErrorCode.pluginNotAvailable,
    `${plugin}: this process may not change the network of containers`,
    { details: `it lacks ${missing.join(' and ')}; run the container runtime as root` },
  )
}
