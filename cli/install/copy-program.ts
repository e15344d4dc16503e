import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import type { CliIo } from '../../node/command/io'
import { checkForInterrupt } from '../../src/host/interrupt'
import { removeFile } from '../../src/runtime/durable-file'
import { Progress } from '../frame/progress'

const chunkBytes = 4 * 1024 * 1024

const programMode = 0o755

const mega = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`

const writeAll = (fd: number, bytes: Uint8Array): void => {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written)
}

const copyBytes = async (from: number, to: number, io: CliIo): Promise<void> => {
  const { size } = fstatSync(from)
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const progress = new Progress(io)
  for (let copied = 0; ; ) {
    const length = readSync(from, chunk, 0, chunkBytes, null)
    if (length === 0) return
    writeAll(to, chunk.subarray(0, length))
    copied += length
    progress.tick(() => `copying the program: ${mega(copied)} of ${mega(size)}`)
    await checkForInterrupt('copying the program')
  }
}

/** Copies an executable to a new file, and waits until it is on the disk. A failure leaves no file. */
export const copyProgram = async (from: string, to: string, io: CliIo): Promise<void> => {
  const source = openSync(from, constants.O_RDONLY)
  try {
    const target = openSync(to, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, programMode)
    try {
      await copyBytes(source, target, io)
      fchmodSync(target, programMode)
      fsyncSync(target)
    } catch (cause) {
      removeFile(to)
      throw new Error(`copy ${from} into the folder of the plugins`, { cause })
    } finally {
      closeSync(target)
    }
  } finally {
    closeSync(source)
  }
}

/** Have two files the same bytes? */
export const isSameContent = (a: string, b: string): boolean => {
  // O_NONBLOCK: opening a pipe would wait for its writer.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  const fds = [openSync(a, flags), openSync(b, flags)] as const
  try {
    const [first, second] = fds.map(fd => fstatSync(fd))
    if (!first?.isFile() || !second?.isFile() || first.size !== second.size) return false
    if (first.ino === second.ino && first.dev === second.dev) return true
    const chunks = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)] as const
    for (let at = 0; ; at += chunkBytes) {
      const length = readSync(fds[0], chunks[0], 0, chunkBytes, at)
      if (length !== readSync(fds[1], chunks[1], 0, chunkBytes, at)) return false
      if (length === 0) return true
      if (!chunks[0].subarray(0, length).equals(chunks[1].subarray(0, length))) return false
    }
  } finally {
    for (const fd of fds) closeSync(fd)
  }
}
