/** Files that are written beside their place and then put there, so that each is old or new at any moment. */

import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { errnoOf } from '../../src/host/errno'
import { removeFile } from '../../src/runtime/durable-file'

/** The prefix of the names of unfinished files. Neither runtimes nor `kubenet plugins` look at such files. */
const stagePrefix = '.kubenet-'

/** A name in the folder of `path` that no other process uses. */
export const stageName = (path: string, purpose: string): string => {
  const slash = path.lastIndexOf('/') + 1
  const unique = `${process.pid}-${process.hrtime.bigint().toString(36)}`
  return `${path.slice(0, slash)}${stagePrefix}${purpose}-${unique}`
}

/** Waits until the folder's entries are on the disk. */
export const syncFolder = (folder: string): void => {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A new file beside its place. */
export type Staged = {
  /** Puts it in its place, where what was there is replaced. */
  commit(): void
  /** Puts back what was there, or nothing if nothing was; after `commit`. */
  undo(): void
  /** Removes what is left beside the place, whichever way it went. */
  discard(): void
}

/** The errors of link(2) on file systems without hard links, and for a file that is mounted from another. */
const noHardLinks = ['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EXDEV']

/** Gives the file at `from` a second name; where the file system has none, copies it. */
export const linkOrCopy = (from: string, to: string): void => {
  try {
    linkSync(from, to)
  } catch (error) {
    if (!noHardLinks.includes(errnoOf(error) ?? '')) throw error
    copyFileSync(from, to, constants.COPYFILE_EXCL)
  }
}

/** A second name for what is at `path`, to put it back by; undefined if nothing is. */
const keep = (path: string): string | undefined => {
  const kept = stageName(path, 'old')
  try {
    linkOrCopy(path, kept)
    return kept
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Stages what is at `temporary`, a complete file in the folder of `path`. */
export const stageFile = (path: string, temporary: string): Staged => {
  let kept: string | undefined
  return {
    commit: () => {
      kept = keep(path)
      renameSync(temporary, path)
    },
    undo: () => {
      if (kept === undefined) removeFile(path)
      else renameSync(kept, path)
      kept = undefined
    },
    discard: () => {
      removeFile(temporary)
      if (kept !== undefined) removeFile(kept)
    },
  }
}

/** Stages the removal of the file at `path`. */
export const stageRemoval = (path: string): Staged => {
  const kept = stageName(path, 'old')
  return {
    commit: () => renameSync(path, kept),
    undo: () => renameSync(kept, path),
    discard: () => removeFile(kept),
  }
}

/** Only root reads network configurations: the CIS benchmark wants them so. */
const textMode = 0o600

/** Stages a small file that is on the disk when this returns. */
export const stageText = (path: string, text: string): Staged => {
  const temporary = stageName(path, 'new')
  const fd = openSync(temporary, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, textMode)
  try {
    writeFileSync(fd, text)
    fsyncSync(fd)
  } catch (error) {
    removeFile(temporary)
    throw error
  } finally {
    closeSync(fd)
  }
  return stageFile(path, temporary)
}

const undoAll = (done: readonly Staged[]): void => {
  for (const file of done.toReversed()) file.undo()
}

/** Puts staged files in their places, all of them or none. */
const commitEach = (staged: readonly Staged[], folders: readonly string[]): void => {
  const done: Staged[] = []
  try {
    for (const file of staged) {
      file.commit()
      done.push(file)
    }
    for (const folder of folders) syncFolder(folder)
  } catch (error) {
    undoAll(done)
    throw error
  }
}

const discardAll = (staged: readonly Staged[]): void => {
  for (const file of staged) file.discard()
}

/** Puts staged files in their places, all of them or none. Other files beside them are gone afterwards either way. */
export const commitAll = (staged: readonly Staged[], folders: readonly string[]): void => {
  try {
    commitEach(staged, folders)
  } finally {
    discardAll(staged)
  }
}

/** The same, and puts back what was there if `check` throws, which sees the files in their places. */
export const commitChecked = async (
  staged: readonly Staged[],
  folders: readonly string[],
  check: () => Promise<void>,
): Promise<void> => {
  try {
    commitEach(staged, folders)
    try {
      await check()
    } catch (error) {
      undoAll(staged)
      throw error
    }
  } finally {
    discardAll(staged)
  }
}

const abandonedMs = 60 * 60 * 1000

/** Removes what installations left that were killed, if it is over an hour old. */
export const removeLeftovers = (folder: string): void => {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(stagePrefix)) continue
    const path = `${folder}/${name}`
    const stat = lstatSync(path, { throwIfNoEntry: false })
    // The change time: a second name for an old program has that program's time of writing.
    if (stat?.isFile() && Date.now() - stat.ctimeMs > abandonedMs) removeFile(path)
  }
}
