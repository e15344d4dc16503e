/** Files of host-local: written durably, and folders that are marked as left in order. */
import {
  closeSync,
  constants,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { CniError, ErrorCode } from '../../src/cni/error'
import { errnoOf } from '../../src/host/errno'
import { timed } from '../../src/host/steps'

/** Removes a file; one that is not there is no failure. */
export const removeFile = (path: string): void => {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** Throws code 5 for a folder that has the name of one of our files; its owner is unknown, so it is not removed. */
export const refuseFolder = (path: string): void => {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  throw new CniError(ErrorCode.ioFailure, `host-local: "${path}" is a folder, not a file`, {
    details: 'host-local did not make it: look inside, then move it away or remove it',
  })
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

/** Makes a file that is not there yet, mode 0600, and opens it to be written. */
export const openNew = (path: string): number => openToWrite(path, constants.O_EXCL)

/** Makes a file that is not there yet, mode 0600, and waits until it is on the disk. A failure leaves none. */
export const writeNewFile = (path: string, content: string): void => {
  const fd = openNew(path)
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

/** The errors of open(2) for a link, a pipe without a reader, a socket, and a missing device. */
const noFile = ['ELOOP', 'ENXIO', 'ENODEV']

/**
 * Opens a file of ours and gives it a length; undefined if something else has its name. Not opened to be emptied: ext4
 * would put it on the disk before it is closed, milliseconds for nothing.
 */
const openWithLength = (path: string, length: number): number | undefined => {
  let fd: number | undefined
  try {
    // O_NONBLOCK: opening a pipe would wait for its reader.
    fd = openToWrite(path, constants.O_NOFOLLOW | constants.O_NONBLOCK)
    ftruncateSync(fd, length)
    return fd
  } catch (error) {
    if (fd !== undefined) closeSync(fd)
    // ftruncate(2) knows only regular files.
    if (noFile.includes(errnoOf(error) ?? '') || (fd !== undefined && errnoOf(error) === 'EINVAL'))
      return undefined
    throw error
  }
}

/**
 * Puts `content` in place of what a file holds, or makes the file, mode 0600. A crash may leave a mix of the two. A
 * link, a pipe or a socket of that name is replaced: names of ours have no other meaning here.
 */
export const rewriteFile = (path: string, content: string): void => {
  const bytes = Buffer.from(content)
  let fd = openWithLength(path, bytes.length)
  if (fd === undefined) {
    removeFile(path)
    fd = openNew(path)
  }
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
  } finally {
    closeSync(fd)
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
    // Another process was quicker.
    if (errnoOf(error) !== 'EEXIST' || !isFolder(path)) throw error
  }
  syncFolder(parent)
}

/** 2000-01-01T00:00:00Z, in seconds since the epoch. */
const earliest = 946_684_800

/** The modification time of what is marked as clean in a boot, in seconds: some second of the years 2000 to 2008. */
const cleanTime = (bootID: string): number => earliest + Number.parseInt(bootID.slice(0, 7), 16)

/** Has the folder been left alone since `markClean`? */
export const isClean = (folder: string, bootID: string): boolean => {
  try {
    return statSync(folder).mtimeMs === cleanTime(bootID) * 1000
  } catch {
    return false // it is not there, or out of reach
  }
}

/**
 * Marks a folder as left in order, by a modification time that no clock shows. Any later change, by the
 * reference plugin, an administrator or a command that is killed half-way, removes the mark. The time depends
 * on the boot, so that no mark outlives one or holds on another host that shares the folder.
 */
export const markClean = (folder: string, bootID: string): void =>
  utimesSync(folder, cleanTime(bootID), cleanTime(bootID))
