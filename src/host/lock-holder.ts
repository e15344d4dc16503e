/** Who holds a lock that is not had in time. */
import { readFileSync, statSync } from 'node:fs'

/** What tells one file from all others. */
type FileNumber = { readonly dev: number; readonly ino: number }

/** The ids of the processes that hold a flock on a file, from /proc/locks. */
export const holdersOf = ({ dev, ino }: FileNumber): string[] => {
  // "1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF", device numbers in hex: fs/locks.c, lock_get_status.
  const major = ((dev >> 8) & 0xfff).toString(16).padStart(2, '0')
  const minor = ((dev & 0xff) | ((dev >> 12) & 0xfff00)).toString(16).padStart(2, '0')
  const file = `${major}:${minor}:${ino}`
  const holders: string[] = []
  for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/)
    const pid = fields[4]
    if (fields[1] === 'FLOCK' && fields[5] === file && pid) holders.push(pid)
  }
  return holders
}

const describeProcess = (pid: string): string => {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    const state = /^State:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? ''
    const seconds = Math.max(0, Math.round((Date.now() - statSync(`/proc/${pid}`).ctimeMs) / 1000))
    return `pid ${pid} (${command}; ${state}; for ${seconds} s at most)`
  } catch {
    return `pid ${pid}`
  }
}

/** Says who holds a lock on a file and what to do about it; "" where nothing can be found out. */
export const explainHolders = (file: FileNumber): string => {
  try {
    const holders = holdersOf(file)
    return holders.length > 0
      ? `held by ${holders.map(describeProcess).join(', ')}; if it hangs, kill it: its lock ends with it`
      : 'its holder is not visible from here, perhaps a process in another PID namespace'
  } catch {
    return ''
  }
}
