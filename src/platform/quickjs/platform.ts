import type { Libc, Platform, ProgramResult, RunOptions } from '../platform'
import { closeSync, openSync, readlinkSync, readSync, writeFileSync } from './fs'
import { argv, checked, decode, onStart, SystemError, sha512, spawn, syscall } from './kernel'
import { forget, onReadable } from './loop'

const libc: Libc = {
  socket: (domain, type, protocol) => syscall('socket', domain, type, protocol),
  bind: (fd, address) => syscall('bind', fd, address, address.length),
  setsockopt: (fd, level, name, value) => syscall('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => syscall('sendto', fd, data, data.length, flags, 0, 0),
  recv: (fd, buffer, flags) => syscall('recvfrom', fd, buffer, buffer.length, flags, 0, 0),
  setns: (fd, nstype) => syscall('setns', fd, nstype),
  flock: (fd, operation) => syscall('flock', fd, operation),
}

const MFD_CLOEXEC = 1
const O_CLOEXEC = 0o2000000
const SEEK_SET = 0

/** A descriptor to read `text` from. Of memory, not a pipe: there is no waiting for a program that does not read. */
const openInput = (text: string | undefined): number => {
  if (text === undefined) return openSync('/dev/null')
  const fd = checked(syscall('memfd_create', 'stdin', MFD_CLOEXEC), 'memfd_create')
  try {
    writeFileSync(fd, text)
    checked(syscall('lseek', fd, 0, SEEK_SET), 'lseek')
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Both ends of a new pipe: the one to read from, then the one to write to. */
const openPipe = (): [number, number] => {
  const ends = new Int32Array(2)
  checked(syscall('pipe2', new Uint8Array(ends.buffer), O_CLOEXEC), 'pipe2')
  return [ends[0] ?? -1, ends[1] ?? -1]
}

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
  const pid = spawn(program, programArgv, environment, input, output, errors)
  for (const fd of [input, output, errors]) closeSync(fd)
  if (pid < 0) {
    closeSync(outputEnd)
    closeSync(errorsEnd)
    throw new SystemError(pid, 'spawn', program)
  }
  const [stdout, stderr] = await Promise.all([textOf(outputEnd), textOf(errorsEnd)])
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
