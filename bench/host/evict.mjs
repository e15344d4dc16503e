import { closeSync, fsyncSync, openSync, statSync } from 'node:fs'
import koffi from 'koffi'
import { run } from './spawn.mjs'

const libc = koffi.load('libc.so.6')
const fadvise = libc.func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)')

const POSIX_FADV_DONTNEED = 4

const residentBytes = path => {
  const { code, stdout, stderr } = run({ argv: ['/usr/bin/fincore', '-nbo', 'RES', path] })
  if (code !== 0) throw new Error(`fincore ${path}: ${stderr}`)
  return Number(stdout.trim())
}

/**
 * Drops one file from the page cache, and nothing else of the machine's. Answers how many bytes the kernel kept, as
 * it does of files that are in use.
 */
export const evict = path => {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)
  closeSync(fd)
  return { kept: residentBytes(path), size: statSync(path).size }
}
