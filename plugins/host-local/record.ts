/**
 * Facts for which lease files have no room, a file for each attachment in a folder of ours beside them:
 *
 *   <dataDir>/.kubenet/<network>/<24 hex digits of containerID and ifname>   a JSON object, mode 0600
 *   <dataDir>/.kubenet/<network>/foreign   a line "<24 hex digits> <address> …" for each the reference made
 *
 * Records are why no command opens every lease, and how leases of ended containers are recognised. They are
 * a cache: code that acts on one reads its lease first, and without them everything works, only slower.
 */
import { readdirSync, statSync } from 'node:fs'
import * as v from 'valibot'
import { leaseKeyOf } from '../../src/attachment/lease'
import { errnoOf } from '../../src/host/errno'
import { readAdvice, readPlainFile } from '../../src/host/plain-file'
import { ensureFolder, removeFile, rewriteFile } from './file'

/** The line of an attachment in the text of the file "foreign", whose leases the reference made. */
const lineOf = (text: string, key: string): string | undefined => {
  // No address looks like a key, so that a search finds nothing but the beginning of a line.
  const start = text.indexOf(key)
  return start < 0 ? undefined : text.slice(start, text.indexOf('\n', start) + 1)
}

/** The text of the file "foreign". */
export const formatForeign = (
  attachments: readonly { readonly key: string; readonly addresses: readonly string[] }[],
): string => attachments.map(({ key, addresses }) => `${key} ${addresses.join(' ')}\n`).join('')

/** The addresses of an attachment; none if the text does not have it. */
export const foreignAddresses = (text: string, key: string): string[] =>
  (lineOf(text, key) ?? '').trimEnd().split(' ').slice(1)

/** The text without an attachment. */
export const withoutForeign = (text: string, key: string): string => text.replace(lineOf(text, key) ?? '', '')

const recordSchema = v.object({
  containerID: v.string(),
  ifName: v.optional(v.string()),
  /** The name Kubernetes has for it, for messages: "namespace/name". Older versions noted none. */
  pod: v.optional(v.string()),
  /** Address → what tells its lease from others of the same address: LeaseStore.identity. */
  leases: v.record(v.string(), v.string()),
  /** The container's network namespace when the lease was made; absent if host-local was not shown one. */
  netns: v.optional(v.object({ path: v.string(), dev: v.number(), ino: v.number() })),
  /** The host's name, and its boot: /proc/sys/kernel/random/boot_id. */
  host: v.string(),
  bootID: v.string(),
  /** The PID namespace of the one who made it, by inode: from elsewhere the container may be out of sight. */
  pidNamespace: v.optional(v.number()),
  /** When the record was made, in milliseconds since the epoch. */
  time: v.number(),
})

/** The leases of an attachment, and what tells whether it is still alive. */
export type AttachmentRecord = v.InferOutput<typeof recordSchema>

const keyDigits = 24

const foreignName = 'foreign'

/** Some 100 bytes an attachment with three addresses: so much are 160,000 of them. */
const maxForeignBytes = 16 * 1024 * 1024

const isKey = (name: string): boolean => name.length === keyDigits && /^[0-9a-f]+$/.test(name)

const parseRecord = (text: string): AttachmentRecord | undefined => {
  try {
    const answer = v.safeParse(recordSchema, JSON.parse(text))
    return answer.success ? answer.output : undefined
  } catch {
    return undefined // a crash cut it off
  }
}

export class RecordStore {
  readonly folder: string

  constructor(dataDir: string, network: string) {
    this.folder = `${dataDir}/.kubenet/${network}`
  }

  /** The keys of all records. */
  keys(): string[] {
    try {
      return readdirSync(this.folder).filter(isKey)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return []
      throw error
    }
  }

  /** Makes the folder. */
  ensure(): void {
    ensureFolder(this.folder, 0o700)
  }

  /** Is there a record, whatever it says? */
  has(key: string): boolean {
    return statSync(this.#path(key), { throwIfNoEntry: false }) !== undefined
  }

  /** The record of an attachment; undefined if there is none, or none that can be understood. */
  read(key: string): AttachmentRecord | undefined {
    return parseRecord(readAdvice(this.#path(key)) ?? '')
  }

  /** Writes a record; the folder must be there. */
  write(record: AttachmentRecord): void {
    const { containerID, ifName } = record
    rewriteFile(this.#path(leaseKeyOf({ containerID, ifName })), JSON.stringify(record))
  }

  remove(key: string): void {
    removeFile(this.#path(key))
  }

  /** The owners of leases of the reference, as text; throws if it cannot be read. */
  readForeign(): string {
    return readPlainFile(this.#path(foreignName), { maxBytes: maxForeignBytes }) ?? ''
  }

  writeForeign(text: string): void {
    if (text === '') removeFile(this.#path(foreignName))
    else rewriteFile(this.#path(foreignName), text)
  }

  #path(key: string): string {
    return `${this.folder}/${key}`
  }
}
