/**
 * Calls that may run at the same time: ADDs and DELs beside each other, GC beside neither. The lock is one of the
 * runtime, for all networks whose results are cached in the same folder; it is taken before every lock of a plugin, and
 * never under one. Other runtimes do not know it: what GC deletes must be proven dead all the same.
 */
import { isFileError } from '../host/errno'
import { withLock, withSharedLock } from '../host/lock'
import { ensureFolder } from './durable-file'

type Work<T> = () => T | Promise<T>

/** Holds the lock of a cache; goes on without one where none can be had except for others that hold it. */
const holding = async <T>(
  cacheDir: string,
  hold: (path: string, work: Work<T>) => Promise<T>,
  work: Work<T>,
): Promise<T> => {
  const folder = `${cacheDir}/.kubenet`
  let isHeld = false
  const held = () => {
    isHeld = true
    return work()
  }
  try {
    ensureFolder(folder)
    return await hold(`${folder}/lock`, held)
  } catch (error) {
    // A folder that cannot be written: a DEL must work there too.
    if (isHeld || !isFileError(error)) throw error
    return await work()
  }
}

/** Runs an ADD or a DEL: beside others of them, and not beside GC. */
export const besideOthers = <T>(cacheDir: string, work: Work<T>): Promise<T> =>
  holding(cacheDir, withSharedLock, work)

/** Runs what GC does, alone. */
export const alone = <T>(cacheDir: string, work: Work<T>): Promise<T> => holding(cacheDir, withLock, work)
