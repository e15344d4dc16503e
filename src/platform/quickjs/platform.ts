import { type Libc, type Platform, type ProgramResult, type RunOptions, timeLimitError } from '../platform'
import { closeSync, openSync, readlinkSync, readSync, writeSync } from './fs'
import { argv, checked, decode, encode, exec, onStart, sha512, spawn, syscall, systemError } from './kernel'
import { clearTimeout, forget, onReadable, onWritable, setTimeout } from './loop'

const libc: Libc = {
  socket: (domain, type, protocol) => syscall('socket', domain, type, protocol),
  bind: (fd, address) => syscall('bind', fd, address, address.length),
  connect: (fd, address) => syscall('connect', fd, address, address.length),
  setsockopt: (fd, level, name, value) => syscall('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => syscall('sendto', fd, data, data.length, flags, 0, 0),
  recvfrom: (fd, buffer, flags, sender, length) =>
    syscall('recvfrom', fd, buffer, buffer.length, flags, sender, length),
  setns: (fd, nstype) => syscall('setns', fd, nstype),
  unshare: flags => syscall('unshare', flags),
  flock: (fd, operation) => syscall('flock', fd, operation),
  ioctl: (fd, request, argument) => syscall('ioctl', fd, request, argument),
  syncFileRange: (fd, flags) => syscall('sync_file_range', fd, 0, 0, flags),
}

// <linux/socket.h>
const MSG_DONTWAIT = 0x40

/** A length of 0: the sender is not asked for. */
const noSender = new Uint8Array(4)

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
        if (error instanceof Error && 'code' in error && error.code === 'EPIPE') resolve()
        else reject(error)
      }
      forget(fd)
      closeSync(fd)
    })
  })

const chunkBytes = 16 * 1024

/** The output of `fd`, `most` bytes or a chunk more, until its other ends are closed; closes it then. */
const textOf = (fd: number, most: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    const chunk = new Uint8Array(chunkBytes)
    let kept = 0
    onReadable(fd, () => {
      try {
        const count = readSync(fd, chunk)
        if (count > 0) {
          if (kept < most) chunks.push(chunk.slice(0, count))
          kept += count
          return
        }
        resolve(joined(chunks))
      } catch (error) {
        reject(error)
      }
      close(fd)
    })
  })

/** Closes an end of a pipe that is waited for. */
const close = (fd: number): void => {
  forget(fd)
  closeSync(fd)
}

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

const listOf = (env: Readonly<Record<string, string | undefined>>): string[] =>
  Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}`))

/** The answer to a program's outputs, unless it takes longer than `ms`: then `late` is called, and this rejects. */
const unlessLate = <T>(answer: Promise<T>, { ms, late }: { ms: number; late: () => Error }): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms) // RunLimit: the program may be anything, and never end
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })

const SIGKILL = 9

const run = async (
  programArgv: readonly [string, ...string[]],
  { env, stdin, limit }: RunOptions,
): Promise<ProgramResult> => {
  const [program] = programArgv
  const input = openInput(stdin)
  const [outputEnd, output] = openPipe()
  const [errorsEnd, errors] = openPipe()
  const pid = spawn(program, programArgv, listOf(env), input.fd, output, errors, limit !== undefined)
  for (const fd of [input.fd, output, errors]) closeSync(fd)
  const ends = [outputEnd, errorsEnd]
  if (pid < 0) {
    for (const fd of [...ends, ...(input.rest ? [input.rest.fd] : [])]) closeSync(fd)
    throw systemError(pid, 'spawn', program)
  }
  const fed = input.rest && feed(input.rest)
  let isFed = fed === undefined
  const noteFed = () => {
    isFed = true
  }
  fed?.then(noteFed, noteFed)
  const most = limit?.outputBytes ?? Number.POSITIVE_INFINITY
  const outputs = Promise.all([textOf(outputEnd, most), textOf(errorsEnd, most), fed])
  const late = (): Error => {
    syscall('kill', -pid, SIGKILL)
    exitCodeOf(pid)
    for (const fd of ends) close(fd)
    if (input.rest && !isFed) close(input.rest.fd)
    return timeLimitError(program, limit?.ms ?? 0)
  }
  const [stdout = '', stderr = ''] = await (limit ? unlessLate(outputs, { ms: limit.ms, late }) : outputs)
  return { exitCode: exitCodeOf(pid), stdout, stderr }
}

export const platform: Platform = {
  libc,
  get invokedAs() {
    const [path = ''] = argv()
    return path.slice(path.lastIndexOf('/') + 1)
  },
  get args() {
    return argv().slice(1)
  },
  get programPath() {
    try {
      return readlinkSync('/proc/self/exe')
    } catch {
      return argv()[0] ?? '' // there is no /proc
    }
  },
  runtime: 'QuickJS',
  sha512Hex: sha512,
  run,
  onStart,
  exec: (words, env) => {
    throw systemError(exec(words[0], words, listOf(env)), 'execve', words[0])
  },
  nextDatagram: (fd, buffer) =>
    new Promise(resolve => {
      onReadable(fd, () => {
        forget(fd)
        resolve(libc.recvfrom(fd, buffer, MSG_DONTWAIT, noSender, noSender))
      })
    }),
  exit: code => process.exit(code),
}
