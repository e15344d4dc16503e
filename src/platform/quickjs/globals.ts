/** The globals for code for Node.js: the build puts these names in wherever they are used. */
import { Buffer } from './buffer'
import { abort, argv, checked, decode, environment, looseJsonAt, startedMs, syscall } from './kernel'
import { monotonicMs, onSignal, type Signal } from './loop'
import { columnsOf } from './tty'

const { parse } = JSON

const wrong = (what: string, line: number | string, column: number | string, cause?: unknown): SyntaxError =>
  new SyntaxError(`JSON parse error: ${what} in line ${line}, column ${column}`, { cause })

/**
 * JSON.parse as Node.js has it: strict, and with the place where JSON goes wrong in the message. QuickJS says that on the
 * error's stack only, and takes some of JavaScript for JSON, which the author of the text did not mean.
 */
JSON.parse = (text: string, reviver?: (key: string, value: unknown) => unknown): unknown => {
  let value: unknown
  try {
    value = parse(text, reviver)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const [, line = 1, column = 1] = /<input>:(\d+):(\d+)/.exec(error.stack ?? '') ?? []
    throw wrong(error.message, line, column, error)
  }
  const index = looseJsonAt(text)
  if (index < 0) return value
  const before = text.slice(0, index).split('\n')
  const what = text[index] === '.' || text[index] === '-' ? 'no number of JSON' : 'no escape of JSON'
  throw wrong(what, before.length, (before.at(-1) ?? '').length + 1)
}

export { clearTimeout, clearTimeout as clearInterval, setImmediate, setInterval, setTimeout } from './loop'
export { Buffer }

export const performance = { now: (): number => monotonicMs() - startedMs() }

const word = new Uint32Array(1)
const wordBytes = new Uint8Array(word.buffer)

// The engine's own goes on from a state that is frozen with the heap, and would be the same in every process.
Math.random = (): number => {
  syscall('getrandom', wordBytes, wordBytes.length, 0)
  return (word[0] ?? 0) / 2 ** 32
}

// Features of V8 that this engine lacks. The package commander calls it for each of its errors.
Error.captureStackTrace ??= () => {}

type Environment = Record<string, string | undefined>

const environmentObject = (): Environment => {
  // Without a prototype: a variable may be called "constructor".
  const env: Environment = Object.create(null)
  for (const entry of environment()) {
    const end = entry.indexOf('=')
    if (end > 0) env[entry.slice(0, end)] ??= entry.slice(end + 1)
  }
  return env
}

let env: Environment | undefined

const pathBytes = 4096

/** getcwd(2), which counts the NUL behind the path. A folder that no path leads to any more counts as the root, as in libc. */
const workingFolder = (): string => {
  const bytes = new Uint8Array(pathBytes)
  const path = decode(bytes, 0, checked(syscall('getcwd', bytes, bytes.length), 'getcwd') - 1)
  return path.startsWith('/') ? path : '/'
}

export const process = {
  get argv(): readonly string[] {
    return argv()
  },
  get env(): Environment {
    env ??= environmentObject()
    return env
  },
  get pid(): number {
    return syscall('getpid')
  },
  cwd: workingFolder,
  stdout: {
    get columns(): number | undefined {
      return columnsOf(1)
    },
  },
  hrtime: { bigint: (): bigint => BigInt(Math.round(monotonicMs() * 1e6)) },
  once: (signal: Signal, callback: () => void): void => onSignal(signal, callback),
  abort,
  exit: (code = 0): never => {
    syscall('exit_group', code)
    return abort()
  },
}
