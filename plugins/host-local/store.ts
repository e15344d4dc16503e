/**
 * The leases of one network, in the files the reference keeps them in, under the same lock:
 *
 *   <dataDir>/<network>/10.1.2.3             "<containerID>\r\n<ifname>", mode 0600
 *   <dataDir>/<network>/last_reserved_ip.0   "10.1.2.3", the last address given out of range set 0
 *   <dataDir>/<network>/lock                 flock(2)
 *
 * A lease file appears whole or not at all, and is on the disk before the address is answered.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { errnoOf } from '../../src/cni/error'
import { withLock } from '../../src/host/lock'
import { type Addr, formatAddr, parseAddr } from '../../src/ip/addr'

/** Whose a lease is. A lease of an old version of the reference has no `ifName`. */
export type Owner = { readonly containerID: string; readonly ifName: string | undefined }

export const isOwner = (owner: Owner | undefined, containerID: string, ifName: string): boolean =>
  owner?.containerID === containerID && owner.ifName === ifName

const lineBreak = '\r\n'

/** The owner a lease file names; undefined for one that a crash left empty or cut off. */
export const parseLease = (content: string): Owner | undefined => {
  const [containerID = '', ifName] = content.split(lineBreak)
  if (containerID.trim() === '' || ifName === '') return undefined
  return { containerID: containerID.trim(), ifName: ifName?.trim() }
}

const removeIfThere = (path: string): void => {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** Reads a small file, but not through a symbolic link; undefined if it is not there. */
const readPlainFile = (path: string): string | undefined => {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ELOOP') return undefined
    throw error
  }
  try {
    return readFileSync(fd, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'EISDIR') return undefined
    throw error
  } finally {
    closeSync(fd)
  }
}

const syncFolder = (path: string): void => {
  const fd = openSync(path, constants.O_RDONLY)
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** The prefix of files being written; no address and no network's name begins with a dot. */
const temporaryPrefix = '.new-'

const writeNewFile = (path: string, content: string, { durable }: { durable: boolean }): void => {
  // One that an earlier process with this number left behind is in nobody's way.
  removeIfThere(path)
  const fd = openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600)
  try {
    writeSync(fd, content)
    if (durable) fsyncSync(fd)
  } catch (error) {
    removeIfThere(path)
    throw error
  } finally {
    closeSync(fd)
  }
}

export class LeaseStore {
  readonly folder: string

  constructor(dataDir: string, network: string) {
    this.folder = `${dataDir}/${network}`
  }

  /** Runs `work` with the network's lock held, making its folder if need be. */
  locked<T>(work: () => T): Promise<T> {
    mkdirSync(this.folder, { recursive: true, mode: 0o755 })
    return withLock(`${this.folder}/lock`, work)
  }

  /** Has anything ever been leased on this network? */
  exists(): boolean {
    return statSync(this.folder, { throwIfNoEntry: false })?.isDirectory() ?? false
  }

  /** The leased addresses in their canonical text: one reading of the folder, no file opened. */
  addresses(): Set<string> {
    const found = new Set<string>()
    for (const name of readdirSync(this.folder)) {
      // What has the lock held now wrote none of these: their writer is dead.
      if (name.startsWith(temporaryPrefix)) removeIfThere(`${this.folder}/${name}`)
      else if (/^[0-9a-f.:]+$/i.test(name) && parseAddr(name)) found.add(name)
    }
    return found
  }

  /** The owner of a lease; undefined if there is none or a crash left it without. */
  owner(address: string): Owner | undefined {
    const content = readPlainFile(`${this.folder}/${address}`)
    return content === undefined ? undefined : parseLease(content)
  }

  /** When a lease was made, in milliseconds since the epoch; 0 if it is gone. */
  madeAt(address: string): number {
    return statSync(`${this.folder}/${address}`, { throwIfNoEntry: false })?.mtimeMs ?? 0
  }

  /** Leases an address, durably. False, and nothing changed, if somebody has it. */
  reserve(addr: Addr, containerID: string, ifName: string): boolean {
    const address = formatAddr(addr)
    const temporary = `${this.folder}/${temporaryPrefix}${process.pid}`
    writeNewFile(temporary, `${containerID}${lineBreak}${ifName}`, { durable: true })
    try {
      linkSync(temporary, `${this.folder}/${address}`)
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false
      throw error
    } finally {
      removeIfThere(temporary)
    }
    syncFolder(this.folder)
    return true
  }

  /** Gives an address back; one that is not leased is no failure. */
  release(address: string): void {
    removeIfThere(`${this.folder}/${address}`)
  }

  /** The address given out last of a range set; undefined if none was, or the file is not readable as one. */
  lastReserved(rangeSetIndex: number): Addr | undefined {
    return parseAddr(readPlainFile(this.#lastReservedPath(rangeSetIndex))?.trim() ?? '')
  }

  /** Notes the address given out last. Losing this at a power cut costs only the round robin's place. */
  setLastReserved(rangeSetIndex: number, addr: Addr): void {
    const temporary = `${this.folder}/${temporaryPrefix}${process.pid}`
    writeNewFile(temporary, formatAddr(addr), { durable: false })
    renameSync(temporary, this.#lastReservedPath(rangeSetIndex))
  }

  #lastReservedPath(rangeSetIndex: number): string {
    return `${this.folder}/last_reserved_ip.${rangeSetIndex}`
  }
}
