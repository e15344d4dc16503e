import { ignoreInterrupts } from './interrupt'
import { warn } from './log'

/** The steps of a command on the host, and the undo of each. */
export class Undo {
  readonly #steps: { what: string; step: () => void | Promise<void> }[] = []

  /** Registers how to undo the last step; `what` names the undo for the warning if it fails. */
  add(what: string, step: () => void | Promise<void>): void {
    this.#steps.push({ what, step })
  }

  /** Undoes every step, newest first. Reports one that fails on stderr; the rest still run. */
  async rollBack(): Promise<void> {
    // A step that waits would fail again of what the command failed of.
    ignoreInterrupts()
    for (const { what, step } of this.#steps.splice(0).reverse()) {
      try {
        await step()
      } catch (error) {
        warn(`undo: ${what}: ${error instanceof Error ? error.message : error}`)
      }
    }
  }
}

/** Runs `work`; if it fails, undoes what it registered and throws the failure on. */
export const undoOnFailure = async <T>(work: (undo: Undo) => Promise<T>): Promise<T> => {
  const undo = new Undo()
  try {
    return await work(undo)
  } catch (error) {
    await undo.rollBack()
    throw error
  }
}
