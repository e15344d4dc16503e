/**
 * A runtime that gives up on a call sends SIGTERM. Steps that wait (for a lock, for a program) ask here, so that the
 * command fails in an orderly way: it undoes what it did and still answers with an error object.
 */

import { SystemError } from './system-error'

/** Waits so long, whatever happens; the caller says why nothing announces what it waits for. */
export const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms)) // the caller's line has the reason

let interrupted: NodeJS.Signals | undefined
let isDeaf = false
let heard: () => void = () => {}

/** Resolves when a signal tells the process to end, for code that would wait for ever. */
export const untilInterrupted = (): Promise<void> =>
  new Promise(resolve => {
    heard = resolve
    if (interrupted) resolve()
  })

/** Takes note of SIGTERM and SIGINT instead of dying of them. */
export const watchForInterrupts = (): void => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      interrupted = signal
      heard()
    })
  }
}

/** From now on no step fails because the call was told to end: what undoes a command's work must be finished. */
export const ignoreInterrupts = (): void => {
  isDeaf = true
}

/** Throws a SystemError from 'signal' if the call was told to end; `doing` is what it was at. */
export const throwIfInterrupted = (doing: string): void => {
  if (!interrupted || isDeaf) return
  throw new SystemError('signal', {
    message: `interrupted by ${interrupted} while ${doing}`,
    code: interrupted,
  })
}

/** Lets the event loop run once, so that a signal that has arrived is noticed, and throws if one has. */
export const checkForInterrupt = async (doing: string): Promise<void> => {
  await new Promise(resolve => setImmediate(resolve))
  throwIfInterrupted(doing)
}
