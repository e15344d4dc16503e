/**
 * The loop of a program, for when no promise has anything to do: timers, children's output, signals. One ppoll(2) a
 * turn; the program ends when nothing is left.
 */
import { checked, onTurn, syscall } from './kernel'

type Callback = () => void
type Timer = { at: number; readonly callback: Callback; readonly every?: number }

const timers = new Set<Timer>()

// <asm-generic/poll.h>
const POLLIN = 1
const POLLOUT = 4

/** The event of a descriptor, and its callback. */
type Waiting = { readonly events: number; readonly callback: Callback }

const waiting = new Map<number, Waiting>()
let immediates: Callback[] = []

const CLOCK_MONOTONIC = 1

const timespec = new BigInt64Array(2)
const timespecBytes = new Uint8Array(timespec.buffer)

/** Milliseconds on a clock that is never set. */
export const monotonicMs = (): number => {
  syscall('clock_gettime', CLOCK_MONOTONIC, timespecBytes)
  return Number(timespec[0]) * 1000 + Number(timespec[1]) / 1e6
}

export const setTimeout = (callback: Callback, ms = 0): Timer => {
  const timer = { at: monotonicMs() + Math.max(0, ms), callback }
  timers.add(timer)
  return timer
}

export const setInterval = (callback: Callback, ms: number): Timer => {
  const every = Math.max(1, ms)
  const timer = { at: monotonicMs() + every, callback, every }
  timers.add(timer)
  return timer
}

export const clearTimeout = (timer: Timer | undefined): void => {
  if (timer) timers.delete(timer)
}

export const setImmediate = (callback: Callback): void => {
  immediates.push(callback)
}

/** Calls `callback` whenever `fd` has something to read or is at its end, until `forget`. */
export const onReadable = (fd: number, callback: Callback): void => {
  waiting.set(fd, { events: POLLIN, callback })
}

/** Calls `callback` whenever `fd` takes something or has no reader left, until `forget`. */
export const onWritable = (fd: number, callback: Callback): void => {
  waiting.set(fd, { events: POLLOUT, callback })
}

export const forget = (fd: number): void => {
  waiting.delete(fd)
}

// <asm-generic/signal.h>
const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const
export type Signal = keyof typeof signalNumbers

const SIG_BLOCK = 0
const SFD_FLAGS = 0o2004000 // SFD_CLOEXEC | SFD_NONBLOCK
const sigsetBytes = 8
const siginfoBytes = 128

const signalCallbacks = new Map<Signal, Callback>()
const blocked = new Uint8Array(sigsetBytes)
let signalFd: number | undefined

/**
 * Calls `callback` the next time the signal comes, once. The signal is blocked and read from a descriptor, so that no
 * system call is ever interrupted by it.
 */
export const onSignal = (signal: Signal, callback: Callback): void => {
  const bit = signalNumbers[signal] - 1
  blocked[bit >> 3] = (blocked[bit >> 3] ?? 0) | (1 << (bit & 7))
  signalCallbacks.set(signal, callback)
  checked(syscall('rt_sigprocmask', SIG_BLOCK, blocked, 0, sigsetBytes), 'rt_sigprocmask')
}

const readSignals = (fd: number): void => {
  const info = new Uint8Array(siginfoBytes)
  while (syscall('read', fd, info, info.length) === siginfoBytes) {
    for (const [signal, callback] of signalCallbacks) {
      if (signalNumbers[signal] !== info[0]) continue
      signalCallbacks.delete(signal)
      callback()
    }
  }
}

const openSignalFd = (): number | undefined => {
  if (signalCallbacks.size === 0) return signalFd
  signalFd ??= checked(syscall('signalfd4', -1, blocked, sigsetBytes, SFD_FLAGS), 'signalfd4')
  return signalFd
}

const pollfdBytes = 8

/**
 * Waits for the first of what there is to wait for, `ms` at most (undefined: as long as it takes), and serves it. A wait
 * that fails is begun again at the next turn.
 */
const poll = (ms: number | undefined): void => {
  const signals = openSignalFd()
  const fds = [...waiting.keys(), ...(signals === undefined ? [] : [signals])]
  const pollfds = new DataView(new ArrayBuffer(pollfdBytes * fds.length))
  for (const [index, fd] of fds.entries()) {
    pollfds.setInt32(index * pollfdBytes, fd, true)
    pollfds.setInt16(index * pollfdBytes + 4, waiting.get(fd)?.events ?? POLLIN, true)
  }
  const timeout = new BigInt64Array(2)
  if (ms !== undefined) {
    timeout[0] = BigInt(Math.floor(ms / 1000))
    timeout[1] = BigInt(Math.ceil((ms % 1000) * 1e6))
  }
  const until = ms === undefined ? 0 : new Uint8Array(timeout.buffer)
  syscall('ppoll', new Uint8Array(pollfds.buffer), fds.length, until, 0, sigsetBytes)
  for (const [index, fd] of fds.entries()) {
    if (pollfds.getInt16(index * pollfdBytes + 6, true) === 0) continue
    if (fd === signals) readSignals(fd)
    else waiting.get(fd)?.callback()
  }
}

const runImmediates = (): void => {
  const due = immediates
  immediates = []
  for (const callback of due) callback()
}

/** The timer that is due first, of those with the same time the oldest. */
const firstTimer = (): Timer | undefined => {
  let first: Timer | undefined
  for (const timer of timers) if (!first || timer.at < first.at) first = timer
  return first
}

// One timer a turn: what its callback has promised is done before the next one's.
onTurn(() => {
  if (immediates.length + timers.size + waiting.size === 0) return false
  const timer = firstTimer()
  const untilTimer = timer && Math.max(0, timer.at - monotonicMs())
  poll(immediates.length > 0 ? 0 : untilTimer)
  if (timer && timers.has(timer) && timer.at <= monotonicMs()) {
    if (timer.every === undefined) timers.delete(timer)
    else timer.at = monotonicMs() + timer.every
    timer.callback()
  }
  runImmediates()
  return true
})
