/** The outcome of a purge, in words: what was removed, and what stays and why. */
import { CniError } from '../../src/cni/error'

export class Tally {
  readonly removed: string[] = []
  readonly kept: string[] = []
  /** What could not be removed, with the reason. */
  readonly failed: string[] = []

  #fail(what: string, error: unknown): void {
    const { message, details } = CniError.from(error)
    this.failed.push(`${what}: ${[message, details].filter(Boolean).join('; ')}`)
  }

  /** Does one step. Its failure is noted and does not end the purge. */
  attempt(what: string, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fail(what, error)
    }
  }

  /** The same for a step that takes its time. */
  async attemptLater(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#fail(what, error)
    }
  }

  /** Does one step, and notes that `what` is removed if it succeeds. */
  remove(what: string, work: () => void): void {
    this.attempt(what, () => {
      work()
      this.removed.push(what)
    })
  }
}
