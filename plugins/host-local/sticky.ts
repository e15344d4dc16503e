/**
 * Which pod had which address last, so that a pod of the same name gets it again, after a reboot too. Only networks
 * with `sticky` have these files:
 *
 *   <dataDir>/.kubenet/<network>/sticky/<24 hex digits of pod and ifname>   "10.1.2.3 fd00::3", what it had
 *   <dataDir>/.kubenet/<network>/sticky/10.1.2.3                            the digits of who had it last
 *
 * An address has one last holder, so that there are never more files than twice the addresses. They are advice: an
 * address that another program has by now is not given, and a note that cannot be written costs only the memory.
 */
import { platform } from '#platform'
import { warn } from '../../src/host/log'
import { readAdvice } from '../../src/host/plain-file'
import { type Addr, parseAddr } from '../../src/ip/addr'
import { ensureFolder, removeFile, rewriteFile } from './file'

const keyDigits = 24

/** The memory of a network for the interface of one pod, "<namespace>/<name>". */
export class StickyPod {
  readonly #folder: string
  readonly #key: string

  constructor({ dataDir, network }: { dataDir: string; network: string }, pod: string, ifName: string) {
    this.#folder = `${dataDir}/.kubenet/${network}/sticky`
    this.#key = platform.sha512Hex(`${pod}\n${ifName}`).slice(0, keyDigits)
  }

  /** The addresses the pod had, as far as no other program has had them since. */
  addresses(): Addr[] {
    try {
      return this.#addressesOf(this.#key)
        .filter(address => this.#holderOf(address) === this.#key)
        .flatMap(address => parseAddr(address) ?? [])
    } catch {
      return [] // no note is worth an ADD
    }
  }

  /** Notes what the pod has from now on. */
  note(addresses: readonly string[]): void {
    try {
      ensureFolder(this.#folder, 0o700)
      for (const address of addresses) {
        const before = this.#holderOf(address)
        if (before !== undefined && before !== this.#key) this.#take(address, before)
        rewriteFile(this.#path(address), this.#key)
      }
      // Addresses that it no longer has are forgotten.
      for (const address of this.#addressesOf(this.#key)) {
        if (!addresses.includes(address) && this.#holderOf(address) === this.#key)
          removeFile(this.#path(address))
      }
      rewriteFile(this.#path(this.#key), addresses.join(' '))
    } catch (error) {
      warn(`host-local: sticky: ${error instanceof Error ? error.message : error}`)
    }
  }

  /** Has the last holder of an address forget it. */
  #take(address: string, holder: string): void {
    const left = this.#addressesOf(holder).filter(other => other !== address)
    if (left.length === 0) removeFile(this.#path(holder))
    else rewriteFile(this.#path(holder), left.join(' '))
  }

  #addressesOf(key: string): string[] {
    return (readAdvice(this.#path(key)) ?? '').split(' ').filter(text => parseAddr(text) !== undefined)
  }

  #holderOf(address: string): string | undefined {
    const text = readAdvice(this.#path(address))
    // It becomes a part of a path.
    return text !== undefined && /^[0-9a-f]{24}$/.test(text) ? text : undefined
  }

  #path(name: string): string {
    return `${this.#folder}/${name}`
  }
}
