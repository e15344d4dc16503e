import { readFileSync } from 'node:fs'
import { CliError, ExitCode } from '../../node/command/failure'

/** <linux/capability.h> */
const CAP_NET_ADMIN = 12n
const CAP_SYS_ADMIN = 21n

/** The effective capabilities of this process, a bit each; undefined where there is no /proc. */
const effectiveCapabilities = (): bigint | undefined => {
  try {
    const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    return hex === undefined ? undefined : BigInt(`0x${hex}`)
  } catch {
    return undefined
  }
}

/** Throws, before anything is done, unless this process may change networks. */
export const requireNetworkAdmin = (): void => {
  const held = effectiveCapabilities()
  if (held === undefined) return
  if ([CAP_NET_ADMIN, CAP_SYS_ADMIN].every(bit => (held & (1n << bit)) !== 0n)) return
  throw new CliError(
    ExitCode.notPermitted,
    'it takes root, or CAP_NET_ADMIN and CAP_SYS_ADMIN, to change networks',
    'run it as root',
  )
}
