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
    const timer = setTimeout(done, ms)
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
  // Where the work came first, nobody hears of this.
  limit.catch(() => {})
  try {
    return await Promise.race([work, limit])
  } finally {
    over.abort()
  }
}
