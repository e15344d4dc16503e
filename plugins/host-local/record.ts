/**
 * What the lease files have no room for, in a folder of ours beside them:
 *
 *   <dataDir>/.kubenet/<network>/<24 hex digits of containerID and ifname>@10.1.2.3,fd00::3
 *
 * The name alone says which addresses an attachment has, so one reading of the folder answers what the reference
 * opens every lease for. A record is advice: whoever acts on one reads the lease it speaks of first, since the
 * reference gives addresses out and takes them back without it. A lease without a record was made by the reference.
 */
import { mkdirSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { platform } from '#platform'
import { errnoOf } from '../../src/cni/error'

/** The attachment a record is of, and what tells whether it is still alive. */
export type AttachmentRecord = {
  readonly containerID: string
  readonly ifName: string
  readonly addresses: readonly string[]
  /** The container's network namespace when the lease was made; absent if host-local was not shown one. */
  readonly netns?: { readonly path: string; readonly dev: number; readonly ino: number } | undefined
  /** The boot in which it was made: /proc/sys/kernel/random/boot_id. */
  readonly bootID: string
  /** When, in milliseconds since the epoch. */
  readonly time: number
}

const keyDigits = 24
/** <linux/limits.h>: NAME_MAX. */
const maxNameBytes = 255

const keyOf = (containerID: string, ifName: string): string =>
  platform.sha512Hex(`${containerID}\r\n${ifName}`).slice(0, keyDigits)

export class RecordStore {
  readonly #folder: string

  constructor(dataDir: string, network: string) {
    this.#folder = `${dataDir}/.kubenet/${network}`
  }

  /** All records: the addresses each file name tells. */
  list(): RecordEntry[] {
    let names: string[]
    try {
      names = readdirSync(this.#folder)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
    return names.map(name => {
      const at = name.indexOf('@')
      return { name, key: name.slice(0, at), addresses: name.slice(at + 1).split(',') }
    })
  }

  /** Is it the record of this attachment? */
  isOf(entry: RecordEntry, containerID: string, ifName: string): boolean {
    return entry.key === keyOf(containerID, ifName)
  }

  write(record: AttachmentRecord): void {
    const name = `${keyOf(record.containerID, record.ifName)}@${record.addresses.join(',')}`
    // An attachment of more addresses than a name holds goes without: its leases are then opened like foreign ones.
    if (name.length > maxNameBytes) return
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    writeFileSync(`${this.#folder}/${name}`, JSON.stringify(record), { mode: 0o600 })
  }

  remove(entry: RecordEntry): void {
    try {
      unlinkSync(`${this.#folder}/${entry.name}`)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }
}

/** One record as its file's name tells it. */
export type RecordEntry = {
  readonly name: string
  readonly key: string
  readonly addresses: readonly string[]
}
