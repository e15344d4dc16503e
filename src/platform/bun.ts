import { dlopen, read } from 'bun:ffi'
import type { Libc, Platform, ProgramResult, RunOptions } from './platform'

/** The part of Bun's global object used here; node's own types have no word of it. */
declare const Bun: {
  CryptoHasher: new (algorithm: 'sha512') => { update(text: string): { digest(encoding: 'hex'): string } }
  spawn(
    argv: readonly string[],
    options: { env: Record<string, string>; stdin: Uint8Array | 'ignore'; stdout: 'pipe'; stderr: 'pipe' },
  ): {
    stdout: { text(): Promise<string> }
    stderr: { text(): Promise<string> }
    exited: Promise<number>
  }
}

// glibc's name first; musl's loader knows its library by the second.
const libcNames = ['libc.so.6', 'libc.so']

const signatures = {
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'u32'], returns: 'i32' },
  send: { args: ['i32', 'ptr', 'u64', 'i32'], returns: 'i64' },
  recv: { args: ['i32', 'ptr', 'u64', 'i32'], returns: 'i64' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
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
  setsockopt: (fd, level, name, value) => call('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => call('send', fd, data, data.length, flags),
  recv: (fd, buffer, flags) => call('recv', fd, buffer, buffer.length, flags),
  setns: (fd, nstype) => call('setns', fd, nstype),
  flock: (fd, operation) => call('flock', fd, operation),
}

const run = async (argv: readonly [string, ...string[]], options: RunOptions): Promise<ProgramResult> => {
  const child = Bun.spawn(argv, {
    env: options.env,
    stdin: options.stdin === undefined ? 'ignore' : Buffer.from(options.stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [stdout, stderr, exitCode] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ])
  return { exitCode, stdout, stderr }
}

export const platform: Platform = {
  libc,
  invokedAs: process.argv0.slice(process.argv0.lastIndexOf('/') + 1),
  programPath: process.execPath,
  sha512Hex: text => new Bun.CryptoHasher('sha512').update(text).digest('hex'),
  run,
  onStart: program => program(),
  exit: code => process.exit(code),
}
