/** Sysctls that are to have a value: what they have, what would change, and the change itself. */
import { readSysctl, writeSysctl } from '../../src/host/sysctl'

/** One sysctl and what it should be. */
export type Wanted = {
  /** As a path below /proc/sys: "net/ipv4/ip_forward". */
  readonly key: string
  readonly value: string
  /** What it is for. */
  readonly why: string
}

/** A sysctl as it was found. */
export type PlannedSysctl = Wanted & {
  /** Undefined where the kernel has no such key. */
  readonly found: string | undefined
  readonly action: 'change' | 'keep' | 'absent'
}

/** A key as sysctl(8) writes it. */
export const dottedKey = (key: string): string => key.replaceAll('/', '.')

/** Compares what is with what should be. */
export const planSysctls = (wanted: readonly Wanted[]): PlannedSysctl[] =>
  wanted.map(entry => {
    const found = readSysctl(entry.key)
    if (found === undefined) return { ...entry, found, action: 'absent' }
    return { ...entry, found, action: found === entry.value ? 'keep' : 'change' }
  })

/** Sets what is to be changed. Throws at the first that can't be, after setting back those before it. */
export const applySysctls = (plan: readonly PlannedSysctl[]): void => {
  const done: PlannedSysctl[] = []
  for (const entry of plan.filter(({ action }) => action === 'change')) {
    try {
      writeSysctl(entry.key, entry.value)
      done.push(entry)
    } catch (error) {
      for (const { key, found } of done.reverse()) if (found !== undefined) writeSysctl(key, found)
      throw error
    }
  }
}
