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
