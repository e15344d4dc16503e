/** node:events for programs that are made of QuickJS: what the package commander is an heir of. */

type Listener = (...args: unknown[]) => void

export class EventEmitter {
  readonly #listeners = new Map<string, Listener[]>()

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener])
    return this
  }

  /** Calls the listeners, in their order; tells whether there was one. */
  emit(event: string, ...args: unknown[]): boolean {
    const listeners = this.#listeners.get(event) ?? []
    for (const listener of listeners) listener.apply(this, args)
    return listeners.length > 0
  }

  listenerCount(event: string): number {
    return this.#listeners.get(event)?.length ?? 0
  }
}
