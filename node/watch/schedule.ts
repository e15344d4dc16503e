/** When to look at the pods of a node next, and why. */
import type { Loss } from './announcements'

type Kind = Loss['kind']

/** One who flushes rules has not finished when the first of them is announced. */
const lostDelayMs = 50
/** A DEL takes part of a second from the first rule it deletes to the interface; what is then missing was taken. */
const touchedDelayMs = 1500

const delays: Record<Kind, number> = { lost: lostDelayMs, touched: touchedDelayMs }

/** Why a look is due; `why` is "" if it only is time again. */
export type Due = { readonly kind: Kind; readonly why: string }

const timeAgain: Due = { kind: 'touched', why: '' }

/** The looks of one node. All times are those of performance.now(). */
export class Schedule {
  #at: number
  #due = timeAgain
  #earliest: Record<Kind, number> = { lost: 0, touched: 0 }
  #wake: () => void = () => {}
  #hurry: () => void = () => {}

  constructor() {
    this.#at = performance.now()
  }

  /** A look is due soon, as the kind of the loss demands, if not before. */
  request(kind: Kind, why: string): void {
    const now = performance.now()
    const at = Math.max(now + delays[kind], this.#earliest[kind])
    const isLost = kind === 'lost'
    // A look that is overdue, as rounds are under way, waits until the one who takes things has finished.
    if (at < this.#at || (isLost && this.#at <= now)) {
      this.#at = at
      this.#due = { kind, why }
      this.#wake()
    } else if (isLost) this.#due = { kind, why: this.#due.why || why }
    if (isLost) this.#hurry()
  }

  /** Resolves when something is lost that has to be back without delay. */
  hurried(): Promise<void> {
    return new Promise(resolve => {
      this.#hurry = resolve
    })
  }

  /** After a look: the next one is due at `at`, or as was requested meanwhile, but not before what is the earliest of its kind. */
  next(at: number, earliest: Readonly<Record<Kind, number>>): void {
    this.#earliest = { ...earliest }
    this.#at = Math.max(Math.min(this.#at, at), earliest[this.#due.kind])
  }

  /** Waits until a look is due; answers why it is. */
  async wait(): Promise<Due> {
    while (this.#at > performance.now()) {
      await new Promise<void>(resolve => {
        // Announcements that wake it earlier may never come.
        const timer = setTimeout(resolve, this.#at - performance.now())
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    const due = this.#due
    this.#at = Number.POSITIVE_INFINITY
    this.#due = timeAgain
    return due
  }
}
