import { readdirSync, readFileSync } from 'node:fs'

const pssOf = pid => {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0)
  } catch {
    return 0 // it has ended meanwhile
  }
}

/** Proportional memory, in KiB, of all processes of this PID namespace but the calling one and its parent. */
export const livingMemory = () =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid && Number(name) !== process.ppid)
    .reduce((sum, pid) => sum + pssOf(pid), 0)
