/**
 * node:fs for programs that are made of QuickJS: the functions that plugins use, each with the meaning, the errors and
 * the messages of Node.js. The build takes this file for "node:fs" and fails where something is missing here.
 */
import { checked, decode, encode, syscall, systemError } from './kernel'
import { fstatOf, lstatOf, Stats, statOf } from './stat'

export { Stats }

const AT_FDCWD = -100
const AT_REMOVEDIR = 0x200
const ENOENT = 2
const EEXIST = 17

// <asm-generic/fcntl.h>; arm64 differs in the two that are about folders and links.
const isArm = process.arch === 'arm64'
const O_CLOEXEC = 0o2000000
const O_PATH = 0o10000000

export const constants = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: isArm ? 0o40000 : 0o200000,
  O_NOFOLLOW: isArm ? 0o100000 : 0o400000,
  F_OK: 0,
  X_OK: 1,
  W_OK: 2,
  R_OK: 4,
  COPYFILE_EXCL: 1,
}

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND } = constants

const flagsByName = new Map([
  ['r', O_RDONLY],
  ['r+', O_RDWR],
  ['w', O_WRONLY | O_CREAT | O_TRUNC],
  ['wx', O_WRONLY | O_CREAT | O_EXCL],
  ['a', O_WRONLY | O_CREAT | O_APPEND],
])

const flagsOf = (flags: string | number): number => {
  const number = typeof flags === 'number' ? flags : flagsByName.get(flags)
  if (number === undefined) throw new TypeError(`unknown flags for open(2): "${flags}"`)
  return number
}

export const openSync = (path: string, flags: string | number = 'r', mode = 0o666): number =>
  checked(syscall('openat', AT_FDCWD, path, flagsOf(flags) | O_CLOEXEC, mode), 'open', path)

export const closeSync = (fd: number): void => {
  checked(syscall('close', fd), 'close')
}

/** Into `length` bytes from `offset` on; of a file, from where it was read to, or from `position` on. */
export const readSync = (
  fd: number,
  bytes: Uint8Array,
  offset = 0,
  length = bytes.length - offset,
  position: number | null = null,
): number => {
  const part = length === bytes.length ? bytes : bytes.subarray(offset, offset + length)
  if (position === null) return checked(syscall('read', fd, part, part.length), 'read')
  return checked(syscall('pread64', fd, part, part.length, position), 'read')
}

/** Of bytes, those from `offset` on; of a text, all. Answers how many the kernel took. */
export const writeSync = (fd: number, content: string | Uint8Array, offset = 0): number => {
  const bytes = typeof content === 'string' ? new Uint8Array(encode(content)) : content.subarray(offset)
  return checked(syscall('write', fd, bytes, bytes.length), 'write')
}

export const fsyncSync = (fd: number): void => {
  checked(syscall('fsync', fd), 'fsync')
}

export const ftruncateSync = (fd: number, length: number): void => {
  checked(syscall('ftruncate', fd, length), 'ftruncate')
}

const firstChunkBytes = 4096

const readAll = (fd: number): Uint8Array => {
  let bytes = new Uint8Array(firstChunkBytes)
  let length = 0
  for (;;) {
    const count = readSync(fd, bytes.subarray(length))
    if (count === 0) return bytes.subarray(0, length)
    length += count
    if (length === bytes.length) {
      const larger = new Uint8Array(length * 4)
      larger.set(bytes)
      bytes = larger
    }
  }
}

const withFile = <T>(
  file: string | number,
  flags: string | number,
  mode: number,
  use: (fd: number) => T,
): T => {
  if (typeof file === 'number') return use(file)
  const fd = openSync(file, flags, mode)
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}

/** The whole of a file, or what is left of an open one: as text if an encoding is named. */
export function readFileSync(file: string | number, encoding: 'utf8'): string
export function readFileSync(file: string | number): Uint8Array
export function readFileSync(file: string | number, encoding?: 'utf8'): string | Uint8Array {
  const bytes = withFile(file, O_RDONLY, 0, readAll)
  return encoding === undefined ? bytes : decode(bytes, 0, bytes.length)
}

export const writeFileSync = (
  file: string | number,
  content: string | Uint8Array,
  { mode = 0o666, flag = 'w' }: { mode?: number; flag?: string } = {},
): void => {
  const bytes = typeof content === 'string' ? new Uint8Array(encode(content)) : content
  withFile(file, flag, mode, fd => {
    // At least one write(2), also of nothing: in /proc/sys that is what sets a value.
    let written = writeSync(fd, bytes)
    while (written < bytes.length) written += writeSync(fd, bytes, written)
  })
}

const copyBytes = 256 * 1024

/** Copies a file, with its mode. With COPYFILE_EXCL it is an error that there is one at the other path. */
export const copyFileSync = (from: string, to: string, mode = 0): void => {
  const flags = O_WRONLY | O_CREAT | ((mode & constants.COPYFILE_EXCL) !== 0 ? O_EXCL : O_TRUNC)
  withFile(from, O_RDONLY, 0, source =>
    withFile(to, flags, 0o600, target => {
      fchmodSync(target, fstatSync(source).mode & 0o7777)
      const bytes = new Uint8Array(copyBytes)
      for (let length = readSync(source, bytes); length > 0; length = readSync(source, bytes))
        for (let written = 0; written < length; )
          written += writeSync(target, bytes.subarray(written, length))
    }),
  )
}

const resultOf = (stats: Stats | number, call: string, path: string | undefined): Stats => {
  if (typeof stats === 'number') throw systemError(stats, call, path)
  return stats
}

type StatOptions = { throwIfNoEntry?: boolean }

const orUndefined = (
  stats: Stats | number,
  call: string,
  path: string,
  { throwIfNoEntry = true }: StatOptions,
): Stats | undefined => (stats === -ENOENT && !throwIfNoEntry ? undefined : resultOf(stats, call, path))

export const statSync = (path: string, options: StatOptions = {}): Stats | undefined =>
  orUndefined(statOf(path), 'stat', path, options)

export const lstatSync = (path: string, options: StatOptions = {}): Stats | undefined =>
  orUndefined(lstatOf(path), 'lstat', path, options)

export const fstatSync = (fd: number): Stats => resultOf(fstatOf(fd), 'fstat', undefined)

// <asm-generic/statfs.h>, struct statfs of 64-bit machines: long f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, …
const statfsBytes = 120

/** The blocks and inodes of the file system that a path is on. */
export const statfsSync = (path: string) => {
  const bytes = new Uint8Array(statfsBytes)
  checked(syscall('statfs', path, bytes), 'statfs', path)
  const view = new DataView(bytes.buffer)
  const [type = 0, bsize = 0, blocks = 0, bfree = 0, bavail = 0, files = 0, ffree = 0] = Array.from(
    { length: 7 },
    (_, at) => Number(view.getBigInt64(at * 8, true)),
  )
  return { type, bsize, blocks, bfree, bavail, files, ffree }
}

export const existsSync = (path: string): boolean =>
  syscall('faccessat', AT_FDCWD, path, constants.F_OK) === 0

export const accessSync = (path: string, mode = constants.F_OK): void => {
  checked(syscall('faccessat', AT_FDCWD, path, mode), 'access', path)
}

export const fchmodSync = (fd: number, mode: number): void => {
  checked(syscall('fchmod', fd, mode), 'fchmod')
}

export const renameSync = (from: string, to: string): void => {
  checked(syscall('renameat', AT_FDCWD, from, AT_FDCWD, to), 'rename', from, to)
}

export const linkSync = (from: string, to: string): void => {
  checked(syscall('linkat', AT_FDCWD, from, AT_FDCWD, to, 0), 'link', from, to)
}

export const unlinkSync = (path: string): void => {
  checked(syscall('unlinkat', AT_FDCWD, path, 0), 'unlink', path)
}

/** With `force`, it may be gone already. Folders stay: nothing here removes one with what is in it. */
export const rmSync = (path: string, { force = false }: { force?: boolean } = {}): void => {
  const answer = syscall('unlinkat', AT_FDCWD, path, 0)
  if (answer !== -ENOENT || !force) checked(answer, 'rm', path)
}

export const rmdirSync = (path: string): void => {
  checked(syscall('unlinkat', AT_FDCWD, path, AT_REMOVEDIR), 'rmdir', path)
}

/**
 * Makes a folder, with `recursive` also those above it: then the answer is the first it made, if it made any. In /proc,
 * where no folder can be made, Node.js does not come to an end; here the kernel's answer is thrown.
 */
export const mkdirSync = (
  path: string,
  options: number | { recursive?: boolean; mode?: number } = {},
): string | undefined => {
  const { recursive = false, mode = 0o777 } = typeof options === 'number' ? { mode: options } : options
  let answer = syscall('mkdirat', AT_FDCWD, path, mode)
  let first: string | undefined
  if (recursive && answer === -ENOENT) {
    const parent = path.replace(/\/+[^/]*\/*$/, '')
    if (parent !== '' && parent !== path) {
      first = mkdirSync(parent, options)
      answer = syscall('mkdirat', AT_FDCWD, path, mode)
    }
  }
  if (recursive && answer === -EEXIST) {
    const there = statOf(path)
    if (typeof there !== 'number' && there.isDirectory()) return first
  }
  checked(answer, 'mkdir', path)
  return recursive ? (first ?? path) : undefined
}

const pathBytes = 4096

export const readlinkSync = (path: string): string => {
  const bytes = new Uint8Array(pathBytes)
  return decode(
    bytes,
    0,
    checked(syscall('readlinkat', AT_FDCWD, path, bytes, bytes.length), 'readlink', path),
  )
}

/** The path without any link in it: the kernel's own name of what was opened. */
export const realpathSync = (path: string): string =>
  withFile(path, O_PATH, 0, fd => readlinkSync(`/proc/self/fd/${fd}`))

/** Times in seconds since 1970. */
export const utimesSync = (path: string, accessed: number, modified: number): void => {
  const times = new DataView(new ArrayBuffer(32))
  for (const [index, time] of [accessed, modified].entries()) {
    const seconds = Math.floor(time)
    times.setBigInt64(index * 16, BigInt(seconds), true)
    times.setBigInt64(index * 16 + 8, BigInt(Math.round((time - seconds) * 1e9)), true)
  }
  checked(syscall('utimensat', AT_FDCWD, path, new Uint8Array(times.buffer), 0), 'utime', path)
}

// <dirent.h>
const DT_UNKNOWN = 0
const DT_DIR = 4
const DT_REG = 8
const DT_LNK = 10

export class Dirent {
  readonly name: string
  readonly #type: number

  constructor(folder: string, name: string, type: number) {
    this.name = name
    this.#type = type === DT_UNKNOWN ? typeOf(`${folder}/${name}`) : type
  }

  isFile = (): boolean => this.#type === DT_REG
  isDirectory = (): boolean => this.#type === DT_DIR
  isSymbolicLink = (): boolean => this.#type === DT_LNK
}

/** S_IFMT's bits are a directory entry's type, twelve bits higher. */
const typeOf = (path: string): number => {
  const stats = lstatOf(path)
  return typeof stats === 'number' ? DT_UNKNOWN : (stats.mode >> 12) & 0xf
}

const entriesBytes = 32 * 1024

/** Calls `visit` with every entry of a folder but "." and "..". <linux/dirent.h>, struct linux_dirent64. */
const visitEntries = (path: string, visit: (name: string, type: number) => void): void => {
  const flags = O_RDONLY | constants.O_DIRECTORY | O_CLOEXEC
  const fd = checked(syscall('openat', AT_FDCWD, path, flags, 0), 'scandir', path)
  try {
    const bytes = new Uint8Array(entriesBytes)
    const view = new DataView(bytes.buffer)
    for (;;) {
      const length = checked(syscall('getdents64', fd, bytes, bytes.length), 'scandir', path)
      if (length === 0) return
      for (let at = 0; at < length; ) {
        const next = at + view.getUint16(at + 16, true)
        const name = decode(bytes, at + 19, bytes.indexOf(0, at + 19))
        if (name !== '.' && name !== '..') visit(name, view.getUint8(at + 18))
        at = next
      }
    }
  } finally {
    closeSync(fd)
  }
}

/** In the order of the names, as libuv has it. */
export function readdirSync(path: string): string[]
export function readdirSync(path: string, options: { withFileTypes: true }): Dirent[]
export function readdirSync(path: string, options?: { withFileTypes: true }): string[] | Dirent[] {
  const types = new Map<string, number>()
  visitEntries(path, (name, type) => types.set(name, type))
  const names = [...types.keys()].sort()
  return options?.withFileTypes
    ? names.map(name => new Dirent(path, name, types.get(name) ?? DT_UNKNOWN))
    : names
}
