/** Puts behind a program of QuickJS the heap that it has once all its modules were evaluated: see frozen.c. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'

const mark = 'a frozen heap: '
const markBytes = 16
const wordBytes = 8
/** What a program's file is filled up to, so that the heap begins with a page of its own. */
const pageBytes = 4096

/** Of Debian's package qemu-user-static. */
const emulators = { arm64: 'qemu-aarch64-static', x64: 'qemu-x86_64-static' }

/** How to run a program for `arch` under the name "freeze". */
const freezeCommand = (program, arch) =>
  arch === process.arch
    ? { file: program, args: [], argv0: 'freeze' }
    : { file: emulators[arch], args: ['-0', 'freeze', program] }

/**
 * Of some functions, as that of Math.floor, glibc has a version for newer processors, and chooses when a program starts.
 * With this it does as if the processor were an old one.
 */
const oldProcessor = { GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-SSE4_1,-AVX,-AVX2,-FMA,-FMA4' }

/** A heap as the program writes it: where in memory the program lay, and the stack, and the words of the heap. */
const takeHeap = (program, arch, env = {}) => {
  const { file, args, argv0 } = freezeCommand(program, arch)
  const bytes = execFileSync(file, args, {
    argv0,
    env,
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const words = new BigUint64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
  const [start, end, stackStart, stackEnd] = words
  return { start, end, stackStart, stackEnd, words: words.subarray(5) }
}

/** Has distances in the place of pointers into the program; answers where they are. Forgets where the stack was. */
const normalise = ({ start, end, stackStart, stackEnd, words }) => {
  const pointers = []
  for (const [at, word] of words.entries()) {
    if (word >= stackStart && word < stackEnd) words[at] = 0n
    if (word < start || word >= end) continue
    words[at] = word - start
    pointers.push(at)
  }
  return pointers
}

/**
 * Freezes the heap of `program`, which is for `arch`. It is taken twice, from processes that lie elsewhere and take the
 * processor for another: a heap in which anything else differs than pointers would not be right in a third. Throws if it
 * does.
 */
export const freezeHeap = (program, arch) => {
  const [heap, other] = [takeHeap(program, arch), takeHeap(program, arch, oldProcessor)]
  const pointers = normalise(heap)
  normalise(other)
  const differs = heap.words.findIndex((word, at) => word !== other.words[at])
  if (differs >= 0 || heap.words.length !== other.words.length)
    throw new Error(`${program}: the heap is another one in each process, at byte ${differs * wordBytes}`)
  const file = readFileSync(program)
  const slot = file.indexOf(`${mark}\0`) + markBytes
  const offset = Math.ceil(file.length / pageBytes) * pageBytes
  file.writeBigUInt64LE(BigInt(offset), slot)
  file.writeBigUInt64LE(BigInt(heap.words.byteLength), slot + 8)
  file.writeBigUInt64LE(BigInt(pointers.length), slot + 16)
  const list = Uint32Array.from(pointers)
  writeFileSync(program, Buffer.concat([file, Buffer.alloc(offset - file.length)]))
  appendFileSync(program, new Uint8Array(heap.words.buffer, heap.words.byteOffset, heap.words.byteLength))
  appendFileSync(program, new Uint8Array(list.buffer))
}
