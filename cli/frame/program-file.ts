/** Which program a file is, as far as its bytes tell. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

/** The two kinds of this project's executables. */
type Flavour = 'standalone' | 'node'

/** The first bytes of executables: a script names its interpreter, a program with its runtime is in ELF. */
const magics: readonly (readonly [magic: string, flavour: Flavour])[] = [
  ['#!', 'node'],
  ['\u007fELF', 'standalone'],
]

const withFile = <T>(path: string, work: (fd: number) => T): T => {
  // O_NONBLOCK: opening a pipe would wait for its writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}

/** What kind of this project's executables a file would be; undefined if it is none, or cannot be read. */
export const flavourOf = (path: string): Flavour | undefined => {
  try {
    const start = Buffer.alloc(4)
    const length = withFile(path, fd => readSync(fd, start, 0, start.length, 0))
    const text = start.toString('latin1', 0, length)
    return magics.find(([magic]) => text.startsWith(magic))?.[1]
  } catch {
    return undefined
  }
}

/** In every build: src/cni/skel.ts says it of each plugin. */
const mark = Buffer.from('(kubenet-cni)')

const chunkBytes = 1024 * 1024

const hasMark = (fd: number): boolean => {
  // A mark across the border of two chunks is found with the second.
  const buffer = Buffer.alloc(mark.length + chunkBytes)
  for (;;) {
    const length = readSync(fd, buffer, mark.length, chunkBytes, null)
    if (length === 0) return false
    if (buffer.subarray(0, mark.length + length).includes(mark)) return true
    buffer.copyWithin(0, length, mark.length + length)
  }
}

/** Is the file one of this project's executables, of any version? Throws what node:fs throws. */
export const isOurs = (path: string): boolean =>
  withFile(path, fd => {
    const stat = fstatSync(fd)
    return stat.isFile() && hasMark(fd)
  })
