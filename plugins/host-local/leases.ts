/** The leases of a network: what the files say, and changing them. */
import { type LeaseOwner, leaseKeyOf } from '../../src/attachment/lease'
import { warn } from '../../src/host/log'
import { parseAddr } from '../../src/ip/addr'
import type { HostView } from '../../src/life/host-view'
import type { Cooldown } from './cooldown'
import { isClean, markClean } from './file'
import {
  type AttachmentRecord,
  foreignAddresses,
  formatForeign,
  type RecordStore,
  withoutForeign,
} from './record'
import { type LeaseStore, lastReservedName } from './store'

/** The addresses an attachment has on the network, and the key of its record. */
export type Holding = {
  readonly key: string
  readonly owner: LeaseOwner
  readonly addresses: readonly string[]
}

/** The contents of the leases themselves: who has what, by key, and which of them a crash left without an owner. */
type Reading = { readonly holdings: Map<string, Holding>; readonly torn: Set<string> }

const ipv4 = /^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}$/

/** Is it an address, and so the name of a lease? Quicker than parseAddr for what most of them are. */
export const isLeaseName = (name: string): boolean =>
  ipv4.test(name) || (name.includes(':') && parseAddr(name) !== undefined)

/** Opens the leases of these addresses, every one. */
export const readHoldings = (store: LeaseStore, addresses: readonly string[]): Reading => {
  const holdings = new Map<string, Holding>()
  const torn = new Set<string>()
  for (const address of addresses) {
    const owner = store.read(address, why => warn(`host-local: ${why}: ${address} is not given out`))
    if (owner === 'torn') torn.add(address)
    else if (owner) {
      const key = leaseKeyOf(owner)
      const others = holdings.get(key)?.addresses ?? []
      holdings.set(key, { key, owner, addresses: [...others, address] })
    }
  }
  return { holdings, torn }
}

/** The folders of a network's leases, records and cooldown, and the host's boot and namespaces. */
export type LeaseFolders = {
  readonly store: LeaseStore
  readonly records: RecordStore
  readonly cooldown: Cooldown
  readonly here: HostView
}

/** Is it what an ADD leaves behind that leased the next address in turn? It comes after all leases that were missing. */
const isLastReserved = (name: string): boolean => name.startsWith(lastReservedName(0).slice(0, -1))

/** How many addresses are looked for one by one. The next in turn is most often free, and a folder may be large. */
const mostProbes = 16

/**
 * A network's leases, while its lock is held. As long as both folders are marked as clean, every lease has its record, and
 * nothing needs to be read but what is asked for. Otherwise another program was here, and the leases are opened.
 */
export class Leases {
  readonly store: LeaseStore
  readonly records: RecordStore
  readonly cooldown: Cooldown
  readonly here: HostView
  #names: Set<string> | undefined
  #probes = 0
  #reading: Reading | undefined
  #foreign: string | undefined
  #changed = false
  #gone: string[] = []
  #unwritten: AttachmentRecord[] = []

  constructor({ store, records, cooldown, here }: LeaseFolders) {
    this.store = store
    this.records = records
    this.cooldown = cooldown
    this.here = here
    const { bootID } = here
    if (isClean(store.folder, bootID) && isClean(records.folder, bootID)) return
    this.#read()
    this.#changed = true
  }

  /** Is there a lease of the address, or anything else that has its name? */
  isTaken(address: string): boolean {
    if (this.#names || this.#probes >= mostProbes) return this.#allNames().has(address)
    this.#probes++
    return this.store.isThere(address)
  }

  /**
   * May leases of running containers be missing? Of a new or emptied folder nothing else is known, nor where a command
   * was killed that was about to lease what they have.
   */
  get isNew(): boolean {
    return this.#reading !== undefined && ![...this.#allNames()].some(isLastReserved)
  }

  /** How many names the folder has: there cannot be more leases. */
  get nameCount(): number {
    return this.#allNames().size
  }

  /** The leased addresses. */
  addresses(): string[] {
    return [...this.#allNames()].filter(isLeaseName)
  }

  /**
   * The addresses of an attachment; undefined if nothing. A container alone is one of an old version of the reference.
   */
  of(owner: LeaseOwner): Holding | undefined {
    const key = leaseKeyOf(owner)
    if (this.#reading) return this.#reading.holdings.get(key)
    const recorded = this.records.has(key)
    const foreign = recorded ? '' : this.#foreignText()
    if (foreign === undefined) return this.#readAnew().get(key)
    const addresses = recorded
      ? Object.keys(this.records.read(key)?.leases ?? {})
      : foreignAddresses(foreign, key)
    if (!recorded && addresses.length === 0) return undefined
    const isTrue = addresses.length > 0 && addresses.every(address => this.#isOf(address, key))
    if (isTrue) return { key, owner, addresses }
    // Another program wrote into the record itself, which removes no mark.
    return this.#readAnew().get(key)
  }

  /** The record of a holding, if it speaks of these very leases and not of earlier ones of the same addresses. */
  recordOf({ key, addresses }: Holding): AttachmentRecord | undefined {
    const record = this.records.read(key)
    if (!record || Object.keys(record.leases).length !== addresses.length) return undefined
    return addresses.every(address => record.leases[address] === this.store.identity(address))
      ? record
      : undefined
  }

  /** The addresses of all attachments; opens every lease. */
  all(): Holding[] {
    return [...this.#read().holdings.values()]
  }

  /** The leases that a crash left without an owner; opens every lease. */
  torn(): string[] {
    return [...this.#read().torn]
  }

  /** Removes what a command left that was killed. */
  tidy(): void {
    if (this.#reading) this.store.removeLeftover()
  }

  /** Throws what would keep an ADD from writing its leases; nothing is left of the trial. */
  probeWriting(rangeSets: number): void {
    this.#changed = true
    this.store.probeWriting(rangeSets)
  }

  /** Leases an address; false if the name is taken. It is durable after `store.sync`. */
  reserve(address: string, owner: LeaseOwner): boolean {
    this.#changed = true
    this.#names?.add(address)
    return this.store.reserve(address, owner)
  }

  /** Notes the address given out last of a range set. */
  setLastReserved(rangeSetIndex: number, address: string): void {
    this.#changed = true
    this.#names?.add(lastReservedName(rangeSetIndex))
    this.store.setLastReserved(rangeSetIndex, address)
  }

  /** Gives one address back: one just reserved, or a torn lease. */
  releaseAddress(address: string): void {
    this.#changed = true
    this.store.release(address)
    this.#names?.delete(address)
    this.#reading?.torn.delete(address)
  }

  /** Gives all that an attachment has back. */
  release({ key, addresses }: Holding): void {
    for (const address of addresses) this.releaseAddress(address)
    this.#gone.push(key)
    this.#reading?.holdings.delete(key)
    this.cooldown.start(addresses)
  }

  /** Notes all that an attachment has from now on, and the network namespace it is for. */
  note(
    owner: LeaseOwner & { readonly pod?: string | undefined },
    has: Iterable<string>,
    netns: AttachmentRecord['netns'],
  ): void {
    const { here, store } = this
    const addresses = [...new Set(has)]
    const leases = Object.fromEntries(addresses.map(address => [address, store.identity(address) ?? '']))
    const about = {
      host: here.host(),
      bootID: here.bootID,
      pidNamespace: here.pidNamespace(),
      time: here.now(),
    }
    this.#unwritten.push({ ...owner, leases, netns, ...about })
    const key = leaseKeyOf(owner)
    this.#reading?.holdings.set(key, { key, owner, addresses })
  }

  /**
   * Writes the records and marks both folders as clean, after work that did not fail. Records are advice, so that this never
   * fails either: where they cannot be kept the mark is missing, and the next command opens the leases.
   */
  finish(): void {
    if (!this.#changed) return
    try {
      this.records.ensure()
      for (const key of this.#gone) this.#forget(key)
      for (const record of this.#unwritten) this.records.write(record)
      if (this.#reading) this.#correctRecords(this.#reading)
      // With the mark the next ADD would not look for running containers.
      if (this.isNew) return
      markClean(this.store.folder, this.here.bootID)
      markClean(this.records.folder, this.here.bootID)
    } catch {
      // See above.
    }
  }

  #allNames(): Set<string> {
    this.#names ??= this.store.names()
    return this.#names
  }

  #isOf(address: string, key: string): boolean {
    const found = this.store.read(address)
    return found !== undefined && found !== 'torn' && leaseKeyOf(found) === key
  }

  #read(): Reading {
    this.#reading ??= readHoldings(this.store, this.addresses())
    return this.#reading
  }

  /** The addresses of all attachments, without the records; they will be corrected. */
  #readAnew(): ReadonlyMap<string, Holding> {
    this.#changed = true
    return this.#read().holdings
  }

  /** The owners of leases of the reference; undefined if that cannot be read, which tells nothing of them. */
  #foreignText(): string | undefined {
    try {
      this.#foreign ??= this.records.readForeign()
    } catch (error) {
      warn(`host-local: ${error instanceof Error ? error.message : error}: all leases are opened instead`)
    }
    return this.#foreign
  }

  #forget(key: string): void {
    if (this.records.has(key)) this.records.remove(key)
    // With a reading the whole file is about to be written.
    else if (!this.#reading) {
      this.#foreign = withoutForeign(this.#foreignText() ?? '', key)
      this.records.writeForeign(this.#foreign)
    }
  }

  /** Makes the records say what the leases say. A holding without a true record is one that the reference made. */
  #correctRecords({ holdings }: Reading): void {
    const foreign = new Map(holdings)
    for (const key of this.records.keys()) {
      const holding = holdings.get(key)
      if (holding && this.recordOf(holding)) foreign.delete(key)
      else this.records.remove(key)
    }
    this.records.writeForeign(formatForeign([...foreign.values()]))
  }
}
