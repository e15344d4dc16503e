/** A program did not end in time. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError'

  constructor(program: string, ms: number) {
    super(`${program} has not ended after ${ms / 1000} s`)
  }
}
