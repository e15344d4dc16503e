import type { CliIo } from '../../node/command/io'

/** Progress is printed for work that takes longer than this. */
const quietMs = 1000

/** And said again as often as this. */
const repeatMs = 5000

type ProgressIo = Pick<CliIo, 'stderr' | 'isErrorTerminal'>

/** Says on standard error what is going on, once it has taken a second, if that is a terminal. */
export class Progress {
  readonly #io: ProgressIo
  readonly #started = performance.now()
  #next = quietMs

  constructor(io: ProgressIo) {
    this.#io = io
  }

  /** To be called now and then; `what` is only asked for when it is printed. */
  tick(what: () => string): void {
    if (!this.#io.isErrorTerminal) return
    const elapsed = performance.now() - this.#started
    if (elapsed < this.#next) return
    this.#next = elapsed + repeatMs
    this.#io.stderr(`${what()} (${Math.round(elapsed / 1000)} s)\n`)
  }
}

/** Tells what is done now; work that never waits must, as no timer runs meanwhile. */
export type Tell = (what: string) => void

/** Does `work`, saying what is being done once it has taken a second: `what`, until `work` tells more. */
export const withProgress = async <T>(
  io: ProgressIo,
  what: string,
  work: (tell: Tell) => Promise<T>,
): Promise<T> => {
  const progress = new Progress(io)
  let now = what
  const say = () => progress.tick(() => now)
  const timer = setInterval(say, quietMs / 4)
  try {
    return await work(next => {
      now = next
      say()
    })
  } finally {
    clearInterval(timer)
  }
}
