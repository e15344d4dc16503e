/**
 * Reading files in folders that others write in too. Under a name that should be a file's may be anything: a pipe would
 * be waited for without end, a sparse file is larger than memory, a link leads elsewhere.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
} from 'node:fs'
import { isFrom, SystemError } from './system-error'

/** Far above what a lease, a record or a resolv.conf takes. */
const usualMaxBytes = 4 * 1024 * 1024

/** An object that is there, but is not read: no regular file, or too large. As an answer it has code 5. */
const unusable = (path: string, code: 'EINVAL' | 'EFBIG', what: string): SystemError =>
  new SystemError('file', {
    message: `"${path}" ${what}`,
    code,
    details: 'find its origin, then move it away or remove it',
    syscall: 'read',
  })

/** The reason why a file was not read: "is a named pipe, not a regular file"; undefined for another failure. */
export const unusableBecause = (path: string, error: unknown): string | undefined =>
  isFrom(error, 'file') ? error.message.slice(`"${path}" `.length) : undefined

const kindOf = (stat: Stats): string => {
  if (stat.isSymbolicLink()) return 'a symbolic link'
  if (stat.isDirectory()) return 'a folder'
  if (stat.isFIFO()) return 'a named pipe'
  return stat.isSocket() ? 'a socket' : 'a device'
}

const noFile = (path: string, stat: Stats): SystemError =>
  unusable(path, 'EINVAL', `is ${kindOf(stat)}, not a regular file`)

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

const nothing = ['ENOENT', 'ENOTDIR']

/** The errors of open(2) for links, sockets and missing devices. */
const notOpened = ['ELOOP', 'ENXIO', 'ENODEV']

const explain = (path: string, error: unknown, followLinks: boolean): unknown => {
  if (!notOpened.includes(codeOf(error))) return error
  const stat = followLinks
    ? statSync(path, { throwIfNoEntry: false })
    : lstatSync(path, { throwIfNoEntry: false })
  return stat && !stat.isFile() ? noFile(path, stat) : error
}

type PlainFileOptions = {
  /** A larger file is not read. */
  readonly maxBytes?: number
  /** Only for folders where links are usual, such as those of mounted ConfigMaps. */
  readonly followLinks?: boolean
}

/**
 * Reads a regular file; undefined if there is none of that name. Throws a SystemError from 'file' for what is something
 * else or too large, and what node:fs throws.
 */
export const readPlainFile = (
  path: string,
  { maxBytes = usualMaxBytes, followLinks = false }: PlainFileOptions = {},
): string | undefined => {
  let fd: number | undefined
  try {
    // O_NONBLOCK: opening a pipe would wait for its writer.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK
    fd = openSync(path, followLinks ? flags : flags | constants.O_NOFOLLOW)
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw noFile(path, stat)
    if (stat.size > maxBytes)
      throw unusable(path, 'EFBIG', `has ${stat.size} bytes, and more than ${maxBytes} are not read`)
    return readFileSync(fd, 'utf8')
  } catch (error) {
    if (nothing.includes(codeOf(error))) return undefined
    throw explain(path, error, followLinks)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

/** The same for a file that is only advice: undefined for anything that cannot be read. */
export const readAdvice = (path: string, options: PlainFileOptions = {}): string | undefined => {
  try {
    return readPlainFile(path, options)
  } catch {
    return undefined
  }
}
