import { dlopen, read } from 'bun:ffi'
import { closeSync, constants, openSync, writeFile } from 'node:fs'
import { nextDatagram } from './next-datagram'
import type { Libc, Platform, ProgramResult, RunOptions } from './platform'
import { run as runBeside } from './run-program'

/** The part of Bun's global object used here; node's own types have no word of it. */
declare const Bun: {
  CryptoHasher: new (algorithm: 'sha512') => { update(text: string): { digest(encoding: 'hex'): string } }
  file(fd: number): { stream(): AsyncIterable<Uint8Array> }
  spawn(
    argv: readonly string[],
    options: { env: Record<string, string>; stdin: number | 'ignore'; stdout: number; stderr: number },
  ): { exited: Promise<number> }
}

// glibc's name first; musl's loader knows its library by the second.
const libcNames = ['libc.so.6', 'libc.so']

const signatures = {
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  connect: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  pipe2: { args: ['ptr', 'i32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  send: { args: ['i32', 'ptr', 'u64', 'i32'], returns: 'i64' },
  recvfrom: { args: ['i32', 'ptr', 'u64', 'i32', 'ptr', 'ptr'], returns: 'i64' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  unshare: { args: ['i32'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' },
  sync_file_range: { args: ['i32', 'i64', 'i64', 'u32'], returns: 'i32' },
  __errno_location: { args: [], returns: 'ptr' },
} as const

type Symbol = (...args: (number | Uint8Array)[]) => number | bigint

const openLibc = (): Record<string, Symbol> => {
  let failure: unknown
  for (const name of libcNames) {
    try {
      return dlopen(name, signatures).symbols
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

let symbols: Record<string, Symbol> | undefined

/** Calls a libc function; dlopen compiles a stub per symbol, so VERSION and the like never pay for it. */
const call = (name: keyof typeof signatures, ...args: (number | Uint8Array)[]): number => {
  symbols ??= openLibc()
  const answer = Number(symbols[name]?.(...args))
  return answer < 0 ? -read.i32(Number(symbols.__errno_location?.())) : answer
}

const libc: Libc = {
  socket: (domain, type, protocol) => call('socket', domain, type, protocol),
  bind: (fd, address) => call('bind', fd, address, address.length),
  connect: (fd, address) => call('connect', fd, address, address.length),
  setsockopt: (fd, level, name, value) => call('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => call('send', fd, data, data.length, flags),
  recvfrom: (fd, buffer, flags, sender, length) =>
    call('recvfrom', fd, buffer, buffer.length, flags, sender, length),
  setns: (fd, nstype) => call('setns', fd, nstype),
  unshare: flags => call('unshare', flags),
  flock: (fd, operation) => call('flock', fd, operation),
  ioctl: (fd, request, argument) => call('ioctl', fd, request, argument),
  syncFileRange: (fd, flags) => call('sync_file_range', fd, 0, 0, flags),
}

const O_CLOEXEC = 0o2000000

/** The ends of a new pipe. Bun itself gives a program files of memory and sockets, which SELinux keeps from iptables. */
const openPipe = (): { read: number; write: number } => {
  const ends = Buffer.alloc(8)
  const answer = call('pipe2', ends, O_CLOEXEC)
  if (answer < 0)
    throw Object.assign(new Error(`pipe2: errno ${-answer}`), { errno: answer, syscall: 'pipe2' })
  return { read: ends.readInt32LE(0), write: ends.readInt32LE(4) }
}

/** Everything that comes out of a pipe until its other end is closed; closes it then. */
const textOf = async (pipe: number): Promise<string> => {
  // Bun waits in the event loop for one that does not block, and in place of it for others.
  const fd = openSync(`/proc/self/fd/${pipe}`, constants.O_RDONLY | constants.O_NONBLOCK)
  closeSync(pipe)
  try {
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of Bun.file(fd).stream()) text += decoder.decode(chunk, { stream: true })
    return text + decoder.decode()
  } finally {
    closeSync(fd)
  }
}

/** Writes an input as its program takes it; one that ends without reading it all is no failure. Closes the pipe. */
const feed = (pipe: number, text: string): Promise<void> =>
  new Promise((resolve, reject) => {
    writeFile(pipe, text, error => {
      closeSync(pipe)
      if (error && error.code !== 'EPIPE') reject(error)
      else resolve()
    })
  })

const run = async (
  argv: readonly [string, ...string[]],
  { env, stdin }: RunOptions,
): Promise<ProgramResult> => {
  const input = stdin === undefined ? undefined : openPipe()
  const [output, errors] = [openPipe(), openPipe()]
  const theirs = [...(input ? [input.read] : []), output.write, errors.write]
  const ours = [...(input ? [input.write] : []), output.read, errors.read]
  let child: ReturnType<typeof Bun.spawn>
  try {
    child = Bun.spawn(argv, {
      env,
      stdin: input?.read ?? 'ignore',
      stdout: output.write,
      stderr: errors.write,
    })
  } catch (error) {
    for (const fd of ours) closeSync(fd)
    throw error
  } finally {
    for (const fd of theirs) closeSync(fd)
  }
  const [stdout, stderr, exitCode] = await Promise.all([
    textOf(output.read),
    textOf(errors.read),
    child.exited,
    input && feed(input.write, stdin ?? ''),
  ])
  return { exitCode, stdout, stderr }
}

export const platform: Platform = {
  libc,
  invokedAs: process.argv0.slice(process.argv0.lastIndexOf('/') + 1),
  programPath: process.execPath,
  args: process.argv.slice(2),
  runtime: `Bun ${process.versions.bun}`,
  nextDatagram,
  sha512Hex: text => new Bun.CryptoHasher('sha512').update(text).digest('hex'),
  // The agent gives no program a limit.
  run: (argv, options) => (options.limit ? runBeside : run)(argv, options),
  exec: () => {
    throw new Error('the agent, which is all that runs on Bun, becomes no other program')
  },
  onStart: program => program(),
  exit: code => process.exit(code),
}
