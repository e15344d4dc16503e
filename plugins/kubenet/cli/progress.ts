import type { CliIo } from './io'

/** What takes longer than this is said to be going on. */
const quietMs = 1000

/** And said again as often as this. */
const repeatMs = 5000

/** Says on standard error what is going on, once it has taken a second. */
export class Progress {
  readonly #io: Pick<CliIo, 'stderr'>
  readonly #started = performance.now()
  #next = quietMs

  constructor(io: Pick<CliIo, 'stderr'>) {
    this.#io = io
  }

  /** To be called now and then; `what` is only asked for when it is printed. */
  tick(what: () => string): void {
    const elapsed = performance.now() - this.#started
    if (elapsed < this.#next) return
    this.#next = elapsed + repeatMs
    this.#io.stderr(`${what()} (${Math.round(elapsed / 1000)} s)\n`)
  }
}

/** Waits for `work`, saying what is waited for once it has taken a second. */
export const withProgress = async <T>(
  io: Pick<CliIo, 'stderr'>,
  what: string,
  work: () => Promise<T>,
): Promise<T> => {
  const progress = new Progress(io)
  const timer = setInterval(() => progress.tick(() => what), quietMs / 4)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}
