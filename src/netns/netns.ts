import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { platform } from '#platform'
import { errnoName, errnoOf } from '../host/errno'
import { SystemError } from '../host/system-error'

/** <linux/sched.h> */
const CLONE_NEWNET = 0x40000000

/** An open network namespace. It lives at least as long as it is open. */
export type Netns = {
  readonly path: string
  readonly fd: number
  /** Device and inode: what tells two namespaces apart. */
  readonly dev: number
  readonly ino: number
}

// Not /proc/self: that is the namespace of the process's first thread, whichever thread asks.
const ownPath = '/proc/thread-self/ns/net'

/** Opens the network namespace at `path`. Throws a SystemError from 'netns', with code ENOENT if there is nothing. */
export const openNetns = (path: string): Netns => {
  try {
    // O_NONBLOCK: opening a pipe would wait for its writer.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const { dev, ino } = fstatSync(fd)
    return { path, fd, dev, ino }
  } catch (error) {
    const code = errnoOf(error) ?? ''
    throw new SystemError('netns', { message: `open netns "${path}": ${code}`, code, cause: error })
  }
}

/** Opens the network namespace the calling thread is in. */
export const openOwnNetns = (): Netns => openNetns(ownPath)

/** Device and inode of the namespace the calling thread is in. */
export const ownNetnsNumber = (): Pick<Netns, 'dev' | 'ino'> => {
  const { dev, ino } = statSync(ownPath)
  return { dev, ino }
}

/** Are the two one namespace? */
export const isSameNetns = (a: Netns, b: Netns): boolean => a.dev === b.dev && a.ino === b.ino

export const closeNetns = (netns: Netns): void => closeSync(netns.fd)

const enter = (netns: Netns): void => {
  const answer = platform.libc.setns(netns.fd, CLONE_NEWNET)
  if (answer >= 0) return
  const code = errnoName(answer)
  // EINVAL is the kernel's answer to a descriptor that is no namespace: a plain file left by a broken unmount.
  const why = code === 'EINVAL' ? 'it is not a network namespace' : code
  throw new SystemError('netns', { message: `enter netns "${netns.path}": ${why}`, code })
}

/** If the way back is barred, nothing this process would do next could be right. */
const comeBack = (own: Netns): void => {
  if (platform.libc.setns(own.fd, CLONE_NEWNET) < 0) process.abort()
}

/**
 * Is it a namespace of the network, and not one of another kind, which the same file system holds? Only the kernel can
 * tell, by letting the thread in; true as well where that is not permitted. `own` is the thread's.
 */
export const isOfNetwork = (netns: Netns, own: Netns): boolean => {
  const answer = platform.libc.setns(netns.fd, CLONE_NEWNET)
  if (answer < 0) return errnoName(answer) !== 'EINVAL'
  comeBack(own)
  return true
}

/**
 * Makes a network namespace without a name. It ends when it is closed, or with this process, even if that is killed; until
 * then its path leads there for every process of the same user. Throws a SystemError from 'netns'.
 */
export const makeNetns = (): Netns => {
  const own = openOwnNetns()
  try {
    const answer = platform.libc.unshare(CLONE_NEWNET)
    if (answer < 0) {
      const code = errnoName(answer)
      throw new SystemError('netns', { message: `make a network namespace: ${code}`, code })
    }
    try {
      const made = openOwnNetns()
      return { ...made, path: `/proc/${process.pid}/fd/${made.fd}` }
    } finally {
      comeBack(own)
    }
  } finally {
    closeNetns(own)
  }
}

/**
 * Runs `work` inside a network namespace and comes back. setns moves one thread, so `work` must not wait for
 * anything: what ran in between would run in the container's namespace too. Sockets opened inside stay there.
 */
export const insideNetns = <T>(netns: Netns, work: () => T): T => {
  const own = openOwnNetns()
  try {
    if (isSameNetns(own, netns)) return work()
    enter(netns)
    try {
      return work()
    } finally {
      comeBack(own)
    }
  } finally {
    closeNetns(own)
  }
}
