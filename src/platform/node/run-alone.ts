/**
 * Running a program where nothing else goes on: in a call of a plugin. To
 * load node:child_process and to start a program by libuv, which forks the whole process, takes longer than iptables does.
 * A program begins at once, and its caller may go on with work of its own; then the process waits.
 */
import { closeSync, readSync, writeSync } from 'node:fs'
import type { ProgramResult, RunOptions } from '../platform'
import { call } from './calls'

const systemError = (answer: number, doing: string): NodeJS.ErrnoException => {
  const { constants } = require('node:os') as typeof import('node:os')
  const names = Object.entries(constants.errno)
  const code = names.find(([, errno]) => errno === -answer)?.[0] ?? `errno ${-answer}`
  return Object.assign(new Error(`${doing} ${code}`), { code, errno: answer, syscall: doing })
}

const checked = (answer: number, doing: string): number => {
  if (answer < 0) throw systemError(answer, doing)
  return answer
}

const O_CLOEXEC = 0o2000000

/** Both ends of a new pipe: the one to read from, then the one to write to. */
const openPipe = (): [number, number] => {
  const ends = Buffer.alloc(8)
  checked(call('pipe2', ends, O_CLOEXEC), 'pipe2')
  return [ends.readInt32LE(0), ends.readInt32LE(4)]
}

// struct pollfd { int fd; short events, revents; };
const pollfdBytes = 8
const POLLIN = 1
const POLLOUT = 4

const EINTR = 4

/** One of our ends of the pipes. `serve` is called when it would not block, and answers whether that was the last time. */
type Stream = { readonly fd: number; readonly events: number; readonly serve: () => boolean }

/** The streams of all programs that have been started: none of them must wait for another one's end. */
const streams = new Set<Stream>()

const close = (stream: Stream): void => {
  streams.delete(stream)
  closeSync(stream.fd)
}

const serve = (stream: Stream): void => {
  let isLast = true
  try {
    isLast = stream.serve()
  } finally {
    if (isLast) close(stream)
  }
}

// struct timespec
const noTime = Buffer.alloc(16)

/** Serves what is ready, once there is something or the time is up, and answers how many streams were. */
const serveStreams = (timeout?: Uint8Array): number => {
  const polled = [...streams]
  const pollfds = Buffer.alloc(pollfdBytes * polled.length)
  for (const [index, { fd, events }] of polled.entries()) {
    pollfds.writeInt32LE(fd, index * pollfdBytes)
    pollfds.writeInt16LE(events, index * pollfdBytes + 4)
  }
  const answer = call('ppoll', pollfds, polled.length, timeout ?? 0, 0)
  if (answer === -EINTR) return 0 // a signal: interrupt.ts hears of it when the program has ended
  checked(answer, 'ppoll')
  for (const [index, stream] of polled.entries())
    if (pollfds.readInt16LE(index * pollfdBytes + 6) !== 0) serve(stream)
  return answer
}

// <limits.h>: PIPE_BUF. As much as that goes into a pipe which is ready without a wait for its reader.
const pipeBytes = 4096

const writerOf = (fd: number, text: string): Stream => {
  const bytes = Buffer.from(text)
  let written = 0
  const serve = (): boolean => {
    try {
      written += writeSync(fd, bytes, written, Math.min(pipeBytes, bytes.length - written))
    } catch (error) {
      // A program that does not read its input breaks the pipe; its exit code tells the story.
      if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return true
      throw error
    }
    return written === bytes.length
  }
  return { fd, events: POLLOUT, serve }
}

const chunkBytes = 64 * 1024

const readerOf = (fd: number, chunks: Buffer[]): Stream => {
  const chunk = Buffer.allocUnsafe(chunkBytes)
  const serve = (): boolean => {
    const length = readSync(fd, chunk)
    chunks.push(Buffer.from(chunk.subarray(0, length)))
    return length === 0
  }
  return { fd, events: POLLIN, serve }
}

/** Every argument, then every variable of the environment, each with a NUL behind it: what `spawn` of calls.c takes. */
const joined = (texts: readonly string[]): Buffer => {
  const text = texts.find(text => text.includes('\0'))
  if (text === undefined) return Buffer.from(`${texts.join('\0')}\0`)
  const refusal = new TypeError(`a program is given no text with a NUL in it: ${JSON.stringify(text)}`)
  throw Object.assign(refusal, { code: 'ERR_INVALID_ARG_VALUE' })
}

/** `platform.exec`. */
export const exec = (
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string | undefined>>,
): never => {
  const environment = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${value}`,
  )
  const texts = joined([...argv, ...environment])
  throw systemError(call('exec', texts, argv.length, environment.length), `execve ${argv[0]}`)
}

type Program = {
  readonly pid: number
  readonly streams: readonly Stream[]
  readonly stdout: readonly Buffer[]
  readonly stderr: readonly Buffer[]
}

/** Starts a program, which finds the beginning of its input there. */
const start = (argv: readonly [string, ...string[]], { env, stdin = '' }: RunOptions): Program => {
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const texts = joined([...argv, ...environment])
  const [input, output, errors] = [openPipe(), openPipe(), openPipe()]
  const descriptors = [input[0], output[1], errors[1]] as const
  const pid = call('spawn', texts, argv.length, environment.length, ...descriptors)
  for (const fd of descriptors) closeSync(fd)
  if (pid < 0) {
    for (const fd of [input[1], output[0], errors[0]]) closeSync(fd)
    throw systemError(pid, `spawn ${argv[0]}`)
  }
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  const writer = writerOf(input[1], stdin)
  const program = { pid, streams: [writer, readerOf(output[0], stdout), readerOf(errors[0], stderr)] }
  for (const stream of program.streams) streams.add(stream)
  let ready = 1
  while (ready > 0 && streams.has(writer)) ready = serveStreams(noTime)
  return { ...program, stdout, stderr }
}

/** The exit code of a child that has ended or is about to. wait(2): the code's byte, or the signal's number. */
const exitCodeOf = (pid: number): number => {
  const status = Buffer.alloc(4)
  let answer = -EINTR
  while (answer === -EINTR) answer = call('wait4', pid, status, 0, 0)
  checked(answer, 'wait4')
  const word = status.readInt32LE(0)
  const signal = word & 0x7f
  return signal === 0 ? (word >> 8) & 0xff : 128 + signal
}

/** One turn of the event loop, in which signals are noticed that have come. */
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** `platform.run`. */
export const run = async (
  argv: readonly [string, ...string[]],
  options: RunOptions,
): Promise<ProgramResult> => {
  const program = start(argv, options)
  await turn() // the caller's own work comes first
  while (program.streams.some(stream => streams.has(stream))) serveStreams()
  const exitCode = exitCodeOf(program.pid)
  await turn() // the code that waits for the program then checks for a signal
  const textOf = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString('utf8')
  return { exitCode, stdout: textOf(program.stdout), stderr: textOf(program.stderr) }
}
