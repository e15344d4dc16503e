import type { Libc, Platform, ProgramResult, RunOptions } from './platform'

/** The one library koffi opens, and the functions it finds there. */
type KoffiLibrary = { func(prototype: string): (...args: (number | Uint8Array)[]) => number }
type Koffi = { load(path: string): KoffiLibrary; errno(): number }

const prototypes = {
  socket: 'int socket(int domain, int type, int protocol)',
  bind: 'int bind(int fd, const void *addr, uint32_t len)',
  setsockopt: 'int setsockopt(int fd, int level, int name, const void *value, uint32_t len)',
  send: 'int64_t send(int fd, const void *data, size_t len, int flags)',
  recv: 'int64_t recv(int fd, void *data, size_t len, int flags)',
  setns: 'int setns(int fd, int nstype)',
  flock: 'int flock(int fd, int operation)',
} as const

type Name = keyof typeof prototypes

/** Loads koffi on the first call: it costs 7 ms, and VERSION needs none of it. */
const loadKoffi = (): Koffi => require('./koffi').koffi

const openLibrary = (koffi: Koffi): KoffiLibrary => {
  try {
    return koffi.load('libc.so.6')
  } catch {
    return koffi.load('libc.so') // musl's name
  }
}

let koffi: Koffi | undefined
let library: KoffiLibrary | undefined
const functions = new Map<Name, (...args: (number | Uint8Array)[]) => number>()

const call = (name: Name, ...args: (number | Uint8Array)[]): number => {
  koffi ??= loadKoffi()
  let fn = functions.get(name)
  if (!fn) {
    library ??= openLibrary(koffi)
    fn = library.func(prototypes[name])
    functions.set(name, fn)
  }
  const answer = fn(...args)
  return answer < 0 ? -koffi.errno() : answer
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

const run = (argv: readonly [string, ...string[]], options: RunOptions): Promise<ProgramResult> => {
  const { spawn } = require('node:child_process') as typeof import('node:child_process')
  const { constants } = require('node:os') as typeof import('node:os')
  return new Promise((resolve, reject) => {
    const [program, ...args] = argv
    const child = spawn(program, args, { env: options.env, stdio: 'pipe' })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      resolve({ exitCode: code ?? 128 + (signal ? constants.signals[signal] : 0), stdout, stderr })
    })
    // A program that ends without reading its input breaks the pipe; its exit code tells the story.
    child.stdin.on('error', () => {})
    child.stdin.end(options.stdin ?? '')
  })
}

const programPath = process.argv[1] ?? process.execPath

export const platform: Platform = {
  libc,
  invokedAs: programPath.slice(programPath.lastIndexOf('/') + 1),
  programPath,
  sha512Hex: text => {
    const { createHash } = require('node:crypto') as typeof import('node:crypto')
    return createHash('sha512').update(text).digest('hex')
  },
  run,
}
