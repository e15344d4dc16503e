import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { platform } from '#platform'
import { errnoName, errnoOf } from '../host/errno'
import { timed } from '../host/steps'

/** Removes a file, or the link of that name; one that is not there is no failure. */
export const removeFile = (path: string): void => {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

const syncFolder = (folder: string): void => {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    timed('disk', folder, () => fsyncSync(fd))
  } finally {
    closeSync(fd)
  }
}

/** Makes a folder and those above it, mode 0700. Throws if there is something else of that name, even a link to one. */
export const ensureFolder = (folder: string): void => {
  const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (made) syncFolder(folder.slice(0, folder.lastIndexOf('/')) || '/')
  else if (!lstatSync(folder).isDirectory()) throw new Error(`"${folder}" is not a folder`)
}

/** The prefix of files being written. Nothing that is kept begins with a dot. */
export const temporaryPrefix = '.new-'

/** <sys/file.h> */
const LOCK_EX = 2
const LOCK_NB = 4

/**
 * Takes the lock that a file being written is held by, which ends with its writer, however that ends. "unknown" where the
 * file system has no locks.
 */
const lockFile = (fd: number): 'had' | 'held' | 'unknown' => {
  const answer = platform.libc.flock(fd, LOCK_EX | LOCK_NB)
  if (answer >= 0) return 'had'
  return errnoName(answer) === 'EAGAIN' ? 'held' : 'unknown'
}

/** A name no other process uses: another one in another PID namespace may have the same number. */
const temporaryName = (): string => `${temporaryPrefix}${process.pid}-${process.hrtime.bigint().toString(36)}`

/** Makes a file to be written, and locks it; another one if it was removed as abandoned before it was locked. */
const openTemporary = (folder: string): { readonly path: string; readonly fd: number } => {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW
  for (;;) {
    const path = `${folder}/${temporaryName()}`
    const fd = openSync(path, flags, 0o600)
    if (lockFile(fd) !== 'held' && fstatSync(fd).nlink > 0) return { path, fd }
    closeSync(fd)
  }
}

/**
 * Writes `<folder>/<name>`, mode 0600, so that it has the old content or the new one whatever happens, and the new one
 * is on the disk when this returns. A symbolic link of that name is replaced, not followed.
 */
export const writeDurably = (folder: string, name: string, content: string): void => {
  const { path, fd } = openTemporary(folder)
  try {
    writeFileSync(fd, content)
    timed('disk', `${folder}/${name}`, () => fsyncSync(fd))
    renameSync(path, `${folder}/${name}`)
  } catch (error) {
    removeFile(path)
    throw error
  } finally {
    closeSync(fd)
  }
  syncFolder(folder)
}

/** Long after any call has ended, in milliseconds. */
const longMs = 60 * 60 * 1000

/** Is it a file so old that no process is still writing it? */
export const isOldFile = (path: string): boolean => {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isFile() === true && Date.now() - stat.mtimeMs > longMs
}

/** Removes a file that was being written, if its writer has ended: then the lock can be had, or the file is old. */
const removeIfAbandoned = (path: string): void => {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return // it has its name by now, or is none of ours
  }
  try {
    if (!fstatSync(fd).isFile()) return
    const lock = lockFile(fd)
    // Under the lock: a writer that has just made it takes another when it sees that this one is gone.
    if (lock === 'had' || (lock === 'unknown' && isOldFile(path))) removeFile(path)
  } finally {
    closeSync(fd)
  }
}

/** Removes what writers that were killed have left in a folder. Files that are being written stay. */
export const removeAbandoned = (folder: string): void => {
  for (const name of readdirSync(folder))
    if (name.startsWith(temporaryPrefix)) removeIfAbandoned(`${folder}/${name}`)
}
