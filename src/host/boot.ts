import { readFileSync, statSync } from 'node:fs'

const bootIDPath = '/proc/sys/kernel/random/boot_id'

/** The identity of this boot, a UUID; every boot has another. */
export const readBootID = (): string => readFileSync(bootIDPath, 'utf8').trim()

/**
 * Is boot_id the kernel's own? LXC and systemd-nspawn bind a file of theirs over it, so that every start of a container
 * looks like a boot. False, too, where that can't be told.
 */
export const isKernelsBootID = (): boolean => {
  try {
    return statSync(bootIDPath).dev === statSync('/proc').dev
  } catch {
    return false
  }
}

/** When this boot was, in milliseconds since the epoch as the clock goes now. */
export const bootTime = (): number =>
  Math.round(Date.now() - Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000)
