import type { Libc, Platform, ProgramResult, RunOptions } from '../platform'
import { closeSync, openSync, readlinkSync, readSync, writeSync } from './fs'
import { argv, checked, decode, encode, onStart, SystemError, sha512, spawn, syscall } from './kernel'
import { forget, onReadable, onWritable } from './loop'

const libc: Libc = {
  socket: (domain, type, protocol) => syscall('socket', domain, type, protocol),
  bind: (fd, address) => syscall('bind', fd, address, address.length),
  connect: (fd, address) => syscall('connect', fd, address, address.length),
  setsockopt: (fd, level, name, value) => syscall('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => syscall('sendto', fd, data, data.length, flags, 0, 0),
  recvfrom: (fd, buffer, flags, sender, length) =>
    syscall('recvfrom', fd, buffer, buffer.length, flags, sender, length),
  setns: (fd, nstype) => syscall('setns', fd, nstype),
  flock: (fd, operation) => syscall('flock', fd, operation),
}

const O_CLOEXEC = 0o2000000

/** Both ends of a new pipe: the one to read from, then the one to write to. */
const openPipe = (): [number, number] => {
  const ends = new Int32Array(2)
  checked(syscall('pipe2', new Uint8Array(ends.buffer), O_CLOEXEC), 'pipe2')
  return [ends[0] ?? -1, ends[1] ?? -1]
}

/** The reading end of an input, and the writing end while there is more of it to be written. */
type Input = { readonly fd: number; readonly rest?: { readonly fd: number; readonly bytes: Uint8Array } }

// <limits.h>: PIPE_BUF. As much as that goes into a pipe that is empty, or ready, without a wait for its reader.
const pipeBytes = 4096

/**
 * A pipe to read `text` from: SELinux lets iptables read those of a container runtime, but no file in memory, in place
 * of which the kernel gives it an empty one. Its beginning, which mostly is all, is in there when the program starts.
 */
const openInput = (text: string | undefined): Input => {
  if (text === undefined) return { fd: openSync('/dev/null') }
  const bytes = new Uint8Array(encode(text))
  const [fd, end] = openPipe()
  try {
    const written = writeSync(end, bytes.subarray(0, pipeBytes))
    if (written < bytes.length) return { fd, rest: { fd: end, bytes: bytes.subarray(written) } }
    closeSync(end)
    return { fd }
  } catch (error) {
    for (const one of [fd, end]) closeSync(one)
    throw error
  }
}

/** Writes the rest of an input as the program takes it; one that ends without reading it all is no failure. */
const feed = ({ fd, bytes }: NonNullable<Input['rest']>): Promise<void> =>
  new Promise((resolve, reject) => {
    let written = 0
    onWritable(fd, () => {
      try {
        written += writeSync(fd, bytes.subarray(written, written + pipeBytes))
        if (written < bytes.length) return
        resolve()
      } catch (error) {
        // Its exit code tells the story.
        if (error instanceof SystemError && error.code === 'EPIPE') resolve()
        else reject(error)
      }
      forget(fd)
      closeSync(fd)
    })
  })

const chunkBytes = 16 * 1024

/** Everything that comes out of `fd` until its other ends are closed; closes it then. */
const textOf = (fd: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    const chunk = new Uint8Array(chunkBytes)
    onReadable(fd, () => {
      try {
        const count = readSync(fd, chunk)
        if (count > 0) {
          chunks.push(chunk.slice(0, count))
          return
        }
        resolve(joined(chunks))
      } catch (error) {
        reject(error)
      }
      forget(fd)
      closeSync(fd)
    })
  })

const joined = (chunks: readonly Uint8Array[]): string => {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let length = 0
  for (const chunk of chunks) {
    whole.set(chunk, length)
    length += chunk.length
  }
  return decode(whole, 0, length)
}

/** The exit code of a child that has ended or is about to. wait(2): the code's byte, or the signal's number. */
const exitCodeOf = (pid: number): number => {
  const status = new Int32Array(1)
  checked(syscall('wait4', pid, new Uint8Array(status.buffer), 0, 0), 'wait4')
  const word = status[0] ?? 0
  const signal = word & 0x7f
  return signal === 0 ? (word >> 8) & 0xff : 128 + signal
}

const run = async (
  programArgv: readonly [string, ...string[]],
  options: RunOptions,
): Promise<ProgramResult> => {
  const [program] = programArgv
  const input = openInput(options.stdin)
  const [outputEnd, output] = openPipe()
  const [errorsEnd, errors] = openPipe()
  const environment = Object.entries(options.env).map(([name, value]) => `${name}=${value}`)
  const pid = spawn(program, programArgv, environment, input.fd, output, errors)
  for (const fd of [input.fd, output, errors]) closeSync(fd)
  if (pid < 0) {
    for (const fd of [outputEnd, errorsEnd, ...(input.rest ? [input.rest.fd] : [])]) closeSync(fd)
    throw new SystemError(pid, 'spawn', program)
  }
  const fed = input.rest && feed(input.rest)
  const [stdout, stderr] = await Promise.all([textOf(outputEnd), textOf(errorsEnd), fed])
  return { exitCode: exitCodeOf(pid), stdout, stderr }
}

export const platform: Platform = {
  libc,
  get invokedAs() {
    const [path = ''] = argv()
    return path.slice(path.lastIndexOf('/') + 1)
  },
  get programPath() {
    return readlinkSync('/proc/self/exe')
  },
  sha512Hex: sha512,
  run,
  onStart,
  exit: code => process.exit(code),
}
