import type { Libc, Platform, ProgramResult, RunOptions } from '../platform'

/** What calls.c offers: system calls that take numbers and bytes, and answer as the kernel does. */
type Calls = Record<
  'bind' | 'flock' | 'recvfrom' | 'sendto' | 'setns' | 'setsockopt' | 'socket',
  (...args: (number | Uint8Array)[]) => number
>

let calls: Calls | undefined

/** Loads the addon on the first call: VERSION and the like need none of it. */
const call = (name: keyof Calls, ...args: (number | Uint8Array)[]): number => {
  calls ??= require('#addon') as Calls
  return calls[name](...args)
}

const libc: Libc = {
  socket: (domain, type, protocol) => call('socket', domain, type, protocol),
  bind: (fd, address) => call('bind', fd, address, address.length),
  setsockopt: (fd, level, name, value) => call('setsockopt', fd, level, name, value, value.length),
  send: (fd, data, flags) => call('sendto', fd, data, data.length, flags),
  recv: (fd, buffer, flags) => call('recvfrom', fd, buffer, buffer.length, flags),
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

const invokedPath = process.argv[1] ?? process.execPath

export const platform: Platform = {
  libc,
  invokedAs: invokedPath.slice(invokedPath.lastIndexOf('/') + 1),
  // Not the path it was started by, which may be a link from another folder than that of the plugins.
  programPath: __filename,
  sha512Hex: text => {
    const { sha512Hex } = require('./sha512') as typeof import('./sha512')
    return sha512Hex(text)
  },
  run,
}
