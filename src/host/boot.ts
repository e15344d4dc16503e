import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs'

const bootIDPath = '/proc/sys/kernel/random/boot_id'

/** The identity of this boot, a UUID; every boot has another. */
export const readBootID = (): string => readFileSync(bootIDPath, 'utf8').trim()

/**
 * Is boot_id the kernel's own? LXC and systemd-nspawn bind a file of theirs over it, so that every start of a container
 * looks like a boot. False, too, where that cannot be told.
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

/** Files that each boot makes again, in memory. */
const runFolder = '/run'

/**
 * A time before which nothing of this boot was written, in milliseconds since the epoch as files have it: what has an
 * earlier one is of an earlier boot. The clock may have been set since this boot, so that `bootTime` is later than what was
 * written soon after; that is not before everything in /run. Throws what node:fs throws.
 */
export const startOfBoot = (): number => {
  const { dev } = lstatSync(runFolder)
  const times = readdirSync(runFolder).flatMap(name => {
    const stat = lstatSync(`${runFolder}/${name}`, { throwIfNoEntry: false })
    // Objects mounted there may be of any age.
    return stat?.dev === dev ? [stat.mtimeMs] : []
  })
  return Math.min(bootTime(), ...times)
}
