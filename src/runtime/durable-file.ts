import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { errnoOf } from '../cni/error'
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

/** A name no other process uses: another one in another PID namespace may have the same number. */
const temporaryName = (): string => `${temporaryPrefix}${process.pid}-${process.hrtime.bigint().toString(36)}`

/**
 * Writes `<folder>/<name>`, mode 0600, so that it has the old content or the new one whatever happens, and the new one
 * is on the disk when this returns. A symbolic link of that name is replaced, not followed.
 */
export const writeDurably = (folder: string, name: string, content: string): void => {
  const temporary = `${folder}/${temporaryName()}`
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW
  const fd = openSync(temporary, flags, 0o600)
  try {
    try {
      writeFileSync(fd, content)
      timed('disk', `${folder}/${name}`, () => fsyncSync(fd))
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, `${folder}/${name}`)
  } catch (error) {
    removeFile(temporary)
    throw error
  }
  syncFolder(folder)
}
