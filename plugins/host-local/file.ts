import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { CniError, ErrorCode, errnoOf } from '../../src/cni/error'
import { timed } from '../../src/host/steps'

/** Removes a file; one that is not there is no failure. */
export const removeFile = (path: string): void => {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** What a name in the folder may be beside a readable file: gone, a link, a folder, a socket, or out of reach. */
const notReadable = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO', 'EAGAIN', 'EACCES', 'EIO']

/** Far above what a lease, a record or the list of foreign leases of a full node takes. */
const maxBytes = 4 * 1024 * 1024

/**
 * Reads a regular file of up to 4 MiB, but not through a symbolic link; undefined if it is not there or none of that,
 * so that one file of somebody else does not stop a network.
 */
export const readPlainFile = (path: string): string | undefined => {
  let fd: number | undefined
  try {
    // O_NONBLOCK: opening a pipe would wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stat = fstatSync(fd)
    return stat.isFile() && stat.size <= maxBytes ? readFileSync(fd, 'utf8') : undefined
  } catch (error) {
    if (notReadable.includes(errnoOf(error) ?? '')) return undefined
    throw error
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** Throws code 5 for a folder that has the name of one of our files; whose it is we can't know, so it is not removed. */
export const refuseFolder = (path: string): void => {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  throw new CniError(
    ErrorCode.ioFailure,
    `host-local: "${path}" is a folder where a file has to be written`,
    {
      details: 'host-local makes no such folder: see what is in it, then move it away or remove it',
    },
  )
}

/** Opens a file of ours to write it. */
const openToWrite = (path: string, flags: number): number => {
  try {
    return openSync(path, flags | constants.O_CREAT | constants.O_WRONLY, 0o600)
  } catch (error) {
    if (['EISDIR', 'EEXIST'].includes(errnoOf(error) ?? '')) refuseFolder(path)
    throw error
  }
}

/** Makes a file that is not there yet, mode 0600, and waits until it is on the disk. A failure leaves none. */
export const writeNewFile = (path: string, content: string): void => {
  const fd = openToWrite(path, constants.O_EXCL)
  try {
    writeFileSync(fd, content)
    fsyncSync(fd)
  } catch (error) {
    removeFile(path)
    throw error
  } finally {
    closeSync(fd)
  }
}

/** Puts `content` in place of what a file holds, or makes the file, mode 0600. A crash may leave a mix of the two. */
export const rewriteFile = (path: string, content: string): void => {
  const bytes = Buffer.from(content)
  const fd = openOwnFile(path)
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
    // Had it been emptied first, ext4 would put it on the disk before it is closed: milliseconds for nothing.
    ftruncateSync(fd, bytes.length)
  } finally {
    closeSync(fd)
  }
}

const openOwnFile = (path: string): number => {
  try {
    return openToWrite(path, constants.O_NOFOLLOW)
  } catch (error) {
    if (errnoOf(error) !== 'ELOOP') throw error
    removeFile(path)
    return openToWrite(path, constants.O_NOFOLLOW)
  }
}

/** Waits until the folder's entries are on the disk. */
export const syncFolder = (path: string): void => {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    timed('disk', path, () => fsyncSync(fd))
  } finally {
    closeSync(fd)
  }
}

const parentOf = (path: string): string => {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '.' : path.slice(0, slash) || '/'
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false

/** Makes a folder and those above it, durably. Not mkdir's "recursive", which names wrong errnos under Node. */
export const ensureFolder = (path: string, mode: number): void => {
  if (isFolder(path)) return
  const parent = parentOf(path)
  if (parent !== path) ensureFolder(parent, mode)
  try {
    mkdirSync(path, mode)
  } catch (error) {
    // Somebody was quicker.
    if (errnoOf(error) !== 'EEXIST' || !isFolder(path)) throw error
  }
  syncFolder(parent)
}
