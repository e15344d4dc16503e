/**
 * When addresses were given back, so that none is given out again before the neighbours' caches have forgotten it:
 * one empty file for each, whose modification time it is. Only networks with `cooldownSeconds` have them.
 *
 *   <dataDir>/.kubenet/<network>/released/10.1.2.3
 */

import { readdirSync, statSync } from 'node:fs'
import { errnoOf } from '../../src/host/errno'
import { warn } from '../../src/host/log'
import { ensureFolder, removeFile, rewriteFile } from './file'

export class Cooldown {
  readonly #folder: string
  readonly #ms: number

  /** `seconds`: how long an address is left alone; 0: not at all. */
  constructor(dataDir: string, network: string, seconds: number) {
    this.#folder = `${dataDir}/.kubenet/${network}/released`
    this.#ms = seconds * 1000
  }

  /** Is the address to be left alone for now? */
  isCooling(address: string, now: number): boolean {
    if (this.#ms === 0) return false
    const releasedAt = this.#releasedAt(address)
    // A clock that was set back must not hold addresses for longer.
    return releasedAt !== undefined && releasedAt <= now && now < releasedAt + this.#ms
  }

  #releasedAt(address: string): number | undefined {
    try {
      return statSync(`${this.#folder}/${address}`, { throwIfNoEntry: false })?.mtimeMs
    } catch {
      return undefined // no note is worth an ADD
    }
  }

  /** Notes that addresses are given back now. A note that cannot be written costs only their rest. */
  start(addresses: readonly string[]): void {
    if (this.#ms === 0) return
    try {
      ensureFolder(this.#folder, 0o700)
      for (const address of addresses) rewriteFile(`${this.#folder}/${address}`, '')
    } catch (error) {
      warn(`host-local: cooldownSeconds: ${error instanceof Error ? error.message : error}`)
    }
  }

  /** Removes the notes that are of no use any more. Other files there, or in the place of the folder, stay. */
  forgetEnded(now: number): void {
    for (const address of this.#noted()) {
      if (!this.isCooling(address, now)) this.#forget(address)
    }
  }

  #noted(): string[] {
    try {
      return readdirSync(this.#folder)
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return []
      throw error
    }
  }

  #forget(address: string): void {
    try {
      removeFile(`${this.#folder}/${address}`)
    } catch (error) {
      if (errnoOf(error) !== 'EISDIR') throw error
    }
  }
}
