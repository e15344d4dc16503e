import { readFileSync } from 'node:fs'

/** What the kernel has had since 2.6.31: 64 ns to a tick (<net/pkt_sched.h>, PSCHED_SHIFT). */
const defaultTicksPerUsec = 15.625

/**
 * Reads /proc/net/psched, four numbers in hex: "000003e8 00000040 000f4240 3b9aca00". The first is how many ns a µs
 * has, the second how many ns a tick has, the third the clock's units a second. Undefined if they are none.
 */
export const parsePsched = (text: string): number | undefined => {
  const [usec = 0, tick = 0, clock = 0] = text.split(' ').map(field => Number.parseInt(field, 16))
  const ticksPerUsec = (usec / tick) * (clock / 1e6)
  return Number.isFinite(ticksPerUsec) && ticksPerUsec > 0 ? ticksPerUsec : undefined
}

/** How many of the ticks in which the kernel measures buckets there are to a microsecond. */
export const readTicksPerUsec = (): number => {
  try {
    return parsePsched(readFileSync('/proc/net/psched', 'utf8')) ?? defaultTicksPerUsec
  } catch {
    return defaultTicksPerUsec // no traffic control in the kernel, which the first request will say better
  }
}
