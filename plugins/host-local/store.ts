/**
 * The leases of one network, in the files the reference keeps them in, under the same lock:
 *
 *   <dataDir>/<network>/10.1.2.3             "<containerID>\r\n<ifname>", mode 0600
 *   <dataDir>/<network>/last_reserved_ip.0   "10.1.2.3", the last address given out of range set 0
 *   <dataDir>/<network>/lock                 flock(2)
 *
 * A lease file appears whole or not at all, and is on the disk before the address is answered.
 */

import { closeSync, fsyncSync, linkSync, lstatSync, readdirSync, renameSync, statSync } from 'node:fs'
import { formatLease, type LeaseOwner, parseLease } from '../../src/attachment/lease'
import { CniError, ErrorCode } from '../../src/cni/error'
import { errnoOf } from '../../src/host/errno'
import { withLock } from '../../src/host/lock'
import { readAdvice, readPlainFile } from '../../src/host/plain-file'
import { timed } from '../../src/host/steps'
import { isFrom } from '../../src/host/system-error'
import { type Addr, parseAddr } from '../../src/ip/addr'
import { ensureFolder, refuseFolder, removeFile, rewriteFile, syncFolder, writeNewFile } from './file'
import { createFile, isOrdered } from './new-file'

/** The file being written. The holder of the lock is the only writer; no address begins with a dot. */
const newFile = '.new'

/** How many leases wait for the disk at once, each in an open file: a process may have 1024 of those, or fewer. */
const mostUnsynced = 32

/** The errors of link(2) on file systems without hard links. */
const noHardLinks = ['EPERM', 'EOPNOTSUPP', 'ENOTSUP', 'ENOSYS']

/** Is it this one file that cannot be read, and would it fail for every reader? */
const isNoLease = (error: Error): boolean =>
  isFrom(error, 'file') || ['EACCES', 'EPERM', 'EIO'].includes(errnoOf(error) ?? '')

/** The name of the file that notes the address given out last of a range set. */
export const lastReservedName = (rangeSetIndex: number): string => `last_reserved_ip.${rangeSetIndex}`

export class LeaseStore {
  readonly folder: string
  readonly network: string
  readonly #newFile: string
  #isOrdered: boolean | undefined
  /** The files of leases that are yet to be waited for, open. */
  readonly #unsynced = new Map<string, number>()

  constructor(dataDir: string, network: string) {
    this.folder = `${dataDir}/${network}`
    this.network = network
    this.#newFile = `${this.folder}/${newFile}`
  }

  /** Has anything ever been leased on this network? */
  exists(): boolean {
    try {
      return statSync(this.folder, { throwIfNoEntry: false })?.isDirectory() ?? false
    } catch (error) {
      if (errnoOf(error) === 'ENOTDIR') return false
      throw error
    }
  }

  /**
   * Runs `work` with the network's lock held, making its folder if need be. Throws code 11 if it is not had in time.
   */
  async locked<T>(work: () => T | Promise<T>): Promise<T> {
    ensureFolder(this.folder, 0o755)
    try {
      return await withLock(`${this.folder}/lock`, work)
    } catch (error) {
      if (!isFrom(error, 'lock') || error.code === 'EAGAIN') throw error
      throw new CniError(ErrorCode.ioFailure, error.message, { details: error.details })
    }
  }

  /** The names in the folder, leases and others: one reading, no file opened. */
  names(): Set<string> {
    return new Set(readdirSync(this.folder))
  }

  /** Is there anything of this name? */
  isThere(name: string): boolean {
    return lstatSync(this.#path(name), { throwIfNoEntry: false }) !== undefined
  }

  /**
   * The contents of a lease file: its owner, `torn` where a crash left it empty; undefined if there is no such file, or
   * it is no lease: `tell` gets the reason. An address with something else in its place is not given out.
   */
  read(address: string, tell: (why: string) => void = () => {}): LeaseOwner | 'torn' | undefined {
    try {
      const content = readPlainFile(this.#path(address))
      return content === undefined ? undefined : (parseLease(content) ?? 'torn')
    } catch (error) {
      if (!(error instanceof Error) || !isNoLease(error)) throw error
      tell(error.message)
      return undefined
    }
  }

  /** Both of the two below at once; undefined if the lease is gone. */
  stamp(address: string): { madeAt: number; identity: string } | undefined {
    const stat = lstatSync(this.#path(address), { throwIfNoEntry: false })
    return stat && { madeAt: stat.mtimeMs, identity: `${stat.ino}:${stat.mtimeMs}` }
  }

  /** When a lease was made, in milliseconds since the epoch; 0 if it is gone. */
  madeAt(address: string): number {
    return this.stamp(address)?.madeAt ?? 0
  }

  /** Tells this lease of an address from every other, before and after it; undefined if it is gone. */
  identity(address: string): string | undefined {
    return this.stamp(address)?.identity
  }

  /** Leases an address; `sync` makes it durable. False, and nothing changed, if the name is taken. */
  reserve(address: string, owner: LeaseOwner): boolean {
    return timed('lease', address, () => this.#reserve(address, owner))
  }

  #reserve(address: string, owner: LeaseOwner): boolean {
    if (this.#unsynced.size >= mostUnsynced) this.sync()
    this.#isOrdered ??= isOrdered(this.folder)
    const fd = createFile(this.#newFile, formatLease(owner), { ordered: this.#isOrdered })
    let leased = false
    try {
      leased = this.#moveUnlessThere(address)
      removeFile(this.#newFile)
      if (leased) this.#unsynced.set(address, fd)
      else closeSync(fd)
      return leased
    } catch (error) {
      closeSync(fd)
      if (leased) this.release(address)
      this.removeLeftover()
      throw error
    }
  }

  #moveUnlessThere(address: string): boolean {
    try {
      linkSync(this.#newFile, this.#path(address))
      return true
    } catch (error) {
      const errno = errnoOf(error) ?? ''
      if (errno === 'EEXIST') return false
      if (!noHardLinks.includes(errno)) throw error
    }
    // The lock is held, so no process makes it between the two.
    if (this.isThere(address)) return false
    renameSync(this.#newFile, this.#path(address))
    return true
  }

  /** Waits until what was reserved is on the disk. */
  sync(): void {
    if (this.#isOrdered) timed('disk', this.folder, () => this.#syncFiles())
    else syncFolder(this.folder)
    for (const address of this.#unsynced.keys()) this.#close(address)
  }

  #syncFiles(): void {
    for (const fd of this.#unsynced.values()) fsyncSync(fd)
  }

  #close(address: string): void {
    const fd = this.#unsynced.get(address)
    if (fd !== undefined) closeSync(fd)
    this.#unsynced.delete(address)
  }

  /** Gives an address back; one that is not leased is no failure. */
  release(address: string): void {
    this.#close(address)
    removeFile(this.#path(address))
  }

  /** Removes what a command that was killed was writing. A folder of that name is none of that, and stays. */
  removeLeftover(): void {
    try {
      removeFile(this.#newFile)
    } catch (error) {
      if (errnoOf(error) !== 'EISDIR') throw error
    }
  }

  /** Throws what would keep a lease of so many range sets from being written: a full disk, a folder in the way. */
  probeWriting(rangeSets: number): void {
    for (let index = 0; index < rangeSets; index++) refuseFolder(this.#lastReservedPath(index))
    writeNewFile(this.#newFile, 'STATUS')
    removeFile(this.#newFile)
  }

  /** The address given out last of a range set; undefined if none was, or the file is not readable as one. */
  lastReserved(rangeSetIndex: number): Addr | undefined {
    return parseAddr(readAdvice(this.#lastReservedPath(rangeSetIndex))?.trim() ?? '')
  }

  /** Notes the address given out last. Losing this in a crash costs only the round robin's place. */
  setLastReserved(rangeSetIndex: number, address: string): void {
    rewriteFile(this.#lastReservedPath(rangeSetIndex), address)
  }

  #path(address: string): string {
    return `${this.folder}/${address}`
  }

  #lastReservedPath(rangeSetIndex: number): string {
    return this.#path(lastReservedName(rangeSetIndex))
  }
}
