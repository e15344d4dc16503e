/**
 * Locks between processes: flock(2) on a file, the kind the reference takes on the same files. Go waits for it
 * without end; here there is a deadline below every runtime's own, and the failure names who holds the lock.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { platform } from '#platform'
import { errnoName, errnoOf } from './errno'
import { pause, throwIfInterrupted } from './interrupt'
import { timedAsync } from './steps'
import { SystemError } from './system-error'

/** The identity of a file. */
type FileNumber = { readonly dev: number; readonly ino: number }

/** The ids of the processes that hold a flock on a file, from /proc/locks. */
const holdersOf = ({ dev, ino }: FileNumber): string[] => {
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
      : 'its holder is not visible from here; it may be in another PID namespace'
  } catch {
    return ''
  }
}

/** <sys/file.h> */
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

/** How long one holder of a lock is waited for: runtimes give up on a whole call after some ten seconds or more. */
const lockTimeoutMs = 5000

/** While the lock changes hands no process hangs, the node is only busy: that is waited for as much longer. */
const busyFactor = 6

/** Checks of a lock's holder in a holder's time; a process that gets the lock at once makes none. */
const looks = 5

const pollMs = { first: 1, longest: 8 }

/** A lock that was not had in time. */
const timedOut = (path: string, fd: number): SystemError =>
  new SystemError('lock', {
    message: `timed out waiting for the lock "${path}"`,
    code: 'EAGAIN',
    details: explainHolders(fstatSync(fd)),
  })

/** A lock file that cannot be opened or locked, as one on a file system that is read-only. */
const unusable = (path: string, code: string, details = ''): SystemError =>
  new SystemError('lock', { message: `lock "${path}": ${code}`, code, details, syscall: 'open' })

/** The holders as one word; empty where they cannot be seen from here. */
const lookAt = (fd: number): string => {
  try {
    return holdersOf(fstatSync(fd)).join()
  } catch {
    return ''
  }
}

/** How long to wait for the lock behind `fd`: `timeoutMs` for each holder, and some holders at most. */
const patience = (fd: number, timeoutMs: number): { isOver(now: number): boolean } => {
  const started = performance.now()
  const limit = started + timeoutMs * busyFactor
  let deadline = started + timeoutMs
  let nextLook = started + timeoutMs / looks
  let holder: string | undefined
  return {
    isOver(now) {
      if (now >= nextLook) {
        nextLook = now + timeoutMs / looks
        const seen = lookAt(fd)
        if (holder !== undefined && seen !== holder) deadline = Math.min(now + timeoutMs, limit)
        holder = seen
      }
      return now >= deadline
    },
  }
}

type Mode = typeof LOCK_SH | typeof LOCK_EX

const take = async (fd: number, path: string, mode: Mode, timeoutMs: number): Promise<void> => {
  let waiting: ReturnType<typeof patience> | undefined
  for (let wait = pollMs.first; ; wait = Math.min(wait * 2, pollMs.longest)) {
    const answer = platform.libc.flock(fd, mode | LOCK_NB)
    if (answer >= 0) return
    const code = errnoName(answer)
    if (code !== 'EAGAIN' && code !== 'EINTR') throw unusable(path, code)
    waiting ??= patience(fd, timeoutMs)
    if (waiting.isOver(performance.now())) throw timedOut(path, fd)
    // flock(2) can wait, but neither for a limited time nor so that a signal is noticed. Waiters that all come back at
    // once would find the lock taken again.
    await pause(wait * (0.5 + Math.random()))
    throwIfInterrupted(`waiting for the lock "${path}"`)
  }
}

/**
 * Runs `work` while holding the lock on `path`, a file that is made if missing. Throws a SystemError with code EAGAIN
 * when one process has kept it for `timeoutMs`, or many in turn for six times as long. The lock ends with the process,
 * however that ends.
 */
export const withLock = <T>(
  path: string,
  work: () => T | Promise<T>,
  timeoutMs: number = lockTimeoutMs,
): Promise<T> => hold(path, LOCK_EX, work, timeoutMs)

/** The same, shared: beside others that hold it shared, but beside no holder by `withLock`. */
export const withSharedLock = <T>(path: string, work: () => T | Promise<T>): Promise<T> =>
  hold(path, LOCK_SH, work, lockTimeoutMs)

const hold = async <T>(
  path: string,
  mode: Mode,
  work: () => T | Promise<T>,
  timeoutMs: number,
): Promise<T> => {
  const fd = openLockFile(path)
  try {
    await timedAsync('lock', path, () => take(fd, path, mode, timeoutMs))
    return await work()
  } finally {
    closeSync(fd)
  }
}

const openLockFile = (path: string): number => {
  try {
    // Not through a link: a user who may write in this folder must not make root open another file.
    return openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_NOFOLLOW, 0o600)
  } catch (error) {
    throw unusable(path, errnoOf(error) ?? '', error instanceof Error ? error.message : '')
  }
}
