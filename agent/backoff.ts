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
