/** The result of statx(2) for a file, in the form of node:fs. */
import { syscall } from './kernel'

const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000
const STATX_BASIC_STATS = 0x7ff

// <linux/stat.h>, struct statx: the same on every architecture, unlike struct stat.
const statxBytes = 256
const modeOffset = 0x1c
const inodeOffset = 0x20
const sizeOffset = 0x28
const ctimeOffset = 0x60
const mtimeOffset = 0x70
const deviceMajorOffset = 0x88

const S_IFMT = 0o170000
const kinds = { socket: 0o140000, link: 0o120000, file: 0o100000, folder: 0o040000, fifo: 0o010000 }

/** The device number as stat(2) has it in glibc, gnu_dev_makedev(): what Node.js shows. */
const deviceOf = (major: number, minor: number): number =>
  Math.floor(major / 0x1000) * 0x1000 * 2 ** 32 +
  (major & 0xfff) * 0x100 +
  Math.floor(minor / 0x100) * 0x100000 +
  (minor & 0xff)

export class Stats {
  readonly dev: number
  readonly ino: number
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly ctimeMs: number
  readonly mtimeMs: number

  constructor(statx: DataView) {
    const time = (offset: number) =>
      Number(statx.getBigInt64(offset, true)) * 1000 + statx.getUint32(offset + 8, true) / 1e6
    this.dev = deviceOf(
      statx.getUint32(deviceMajorOffset, true),
      statx.getUint32(deviceMajorOffset + 4, true),
    )
    this.ino = Number(statx.getBigUint64(inodeOffset, true))
    this.mode = statx.getUint16(modeOffset, true)
    this.nlink = statx.getUint32(0x10, true)
    this.uid = statx.getUint32(0x14, true)
    this.gid = statx.getUint32(0x18, true)
    this.size = Number(statx.getBigUint64(sizeOffset, true))
    this.ctimeMs = time(ctimeOffset)
    this.mtimeMs = time(mtimeOffset)
  }

  #is(kind: number): boolean {
    return (this.mode & S_IFMT) === kind
  }

  isFile = (): boolean => this.#is(kinds.file)
  isDirectory = (): boolean => this.#is(kinds.folder)
  isSymbolicLink = (): boolean => this.#is(kinds.link)
  isSocket = (): boolean => this.#is(kinds.socket)
  isFIFO = (): boolean => this.#is(kinds.fifo)
}

const ask = (folder: number, path: string, flags: number): Stats | number => {
  const statx = new Uint8Array(statxBytes)
  const answer = syscall('statx', folder, path, flags, STATX_BASIC_STATS, statx)
  return answer < 0 ? answer : new Stats(new DataView(statx.buffer))
}

const AT_FDCWD = -100

/** Of the file a path leads to, links followed; a negative errno if there is none. */
export const statOf = (path: string): Stats | number => ask(AT_FDCWD, path, 0)

/** Of what is at a path itself, be it a symbolic link. */
export const lstatOf = (path: string): Stats | number => ask(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW)

/** Of an open file. */
export const fstatOf = (fd: number): Stats | number => ask(fd, '', AT_EMPTY_PATH)
