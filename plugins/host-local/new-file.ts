/**
 * New files: where the file system allows that, content and name are on the disk after one wait. A crash before that
 * leaves the file whole, or no file of that name.
 */
import { closeSync, existsSync, fsyncSync, readlinkSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { platform } from '#platform'
import { errnoName } from '../../src/host/errno'
import { SystemError } from '../../src/host/system-error'
import { openNew, removeFile } from './file'

/** <linux/magic.h>: ext2, ext3 and ext4, which are not told apart by it. */
const extKind = 0xef53

/**
 * <linux/magic.h>: xfs and btrfs have a journal or log. A name gets there after what was written to the disk before it,
 * and fsync(2) of a new file waits for its names as well. tmpfs has nothing to wait for.
 */
const orderedKinds = [0x58465342, 0x9123683e, 0x01021994]

/**
 * Has an ext4 a journal of its own, and so the order of xfs? Without one, as in ext2, nothing promises that fsync(2) of a
 * file writes the folder's entry. A journal on another device is not seen, and costs a second wait.
 */
const hasJournal = (folder: string): boolean => {
  const { dev } = statSync(folder)
  // <linux/kdev_t.h>, new_encode_dev()
  const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)]
  const device = readlinkSync(`/sys/dev/block/${major}:${minor}`)
  // The journal is inode 8: EXT4_JOURNAL_INO.
  return existsSync(`/proc/fs/jbd2/${device.slice(device.lastIndexOf('/') + 1)}-8`)
}

/** Is a folder on a file system whose journal or log keeps a file's content before its name? */
export const isOrdered = (folder: string): boolean => {
  try {
    const { type } = statfsSync(folder)
    return orderedKinds.includes(type) || (type === extKind && hasJournal(folder))
  } catch {
    return false
  }
}

/** <linux/fs.h>: SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER. */
const writeAndWait = 7

/** Where the call is not there, or a filter of system calls keeps it from this process. */
const notThere = ['ENOSYS', 'EPERM']

/** Hands a file's content to the disk, without a wait until the disk keeps it: that comes with the names. */
const writeOut = (fd: number, path: string): void => {
  const answer = platform.libc.syncFileRange(fd, writeAndWait)
  if (answer >= 0) return
  const code = errnoName(answer)
  if (notThere.includes(code)) fsyncSync(fd)
  else
    throw new SystemError('file', {
      message: `${code}: sync_file_range '${path}'`,
      code,
      syscall: 'sync_file_range',
    })
}

/**
 * Makes a file that is not there yet, mode 0600, ready to get its name: as `ordered` says, its content is on its way or
 * on the disk. Answers it open, to be waited for when it has its name. A failure leaves none.
 */
export const createFile = (path: string, content: string, { ordered }: { ordered: boolean }): number => {
  const fd = openNew(path)
  try {
    writeFileSync(fd, content)
    if (ordered) writeOut(fd, path)
    else fsyncSync(fd)
    return fd
  } catch (error) {
    closeSync(fd)
    removeFile(path)
    throw error
  }
}
