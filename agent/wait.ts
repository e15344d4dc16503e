/** Waiting by the monotonic clock, which a jump of the time of day does not touch. */

/** Waits; ends early, without failing, when `signal` is aborted. */
export const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms) // a Backoff, the period of a comparison, or the limit of `within`
    signal.addEventListener('abort', done, { once: true })
  })

/** Seconds since some moment, which only ever grow. */
export const monotonicSeconds = (): number => performance.now() / 1000

/** What `work` resolves to; rejects after `ms` milliseconds without it, or when `signal` is aborted. */
export const within = async <T>(
  { ms, signal, what }: { ms: number; signal: AbortSignal; what: string },
  work: Promise<T>,
): Promise<T> => {
  const over = new AbortController()
  const limit = wait(ms, AbortSignal.any([signal, over.signal])).then(() => {
    throw new Error(signal.aborted ? 'stopped' : `no ${what} for ${ms / 1000} s`)
  })
  // If the work came first, this has no effect.
  limit.catch(() => {})
  try {
    return await Promise.race([work, limit])
  } finally {
    over.abort()
  }
}

/** How long to wait after failures: twice as long each time up to a cap, and never the same time on two nodes. */
export class Backoff {
  readonly #firstMs: number
  readonly #longestMs: number
  readonly #random: () => number
  #failures = 0

  constructor({ firstMs, longestMs }: { firstMs: number; longestMs: number }, random = Math.random) {
    this.#firstMs = firstMs
    this.#longestMs = longestMs
    this.#random = random
  }

  /** The milliseconds to wait after one more failure: a random time in the upper half of the doubled one. */
  next(): number {
    const ms = Math.min(this.#firstMs * 2 ** this.#failures, this.#longestMs)
    if (ms < this.#longestMs) this.#failures++
    return ms * (0.5 + this.#random() / 2)
  }

  /** The last attempt went well. */
  reset(): void {
    this.#failures = 0
  }
}
