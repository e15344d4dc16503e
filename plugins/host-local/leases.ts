import type { RecordEntry, RecordStore } from './record'
import { isOwner, type LeaseStore, type Owner } from './store'

/** A network's leases and our records of them, read together under the lock. */
export class Leases {
  readonly store: LeaseStore
  readonly records: RecordStore
  /** The leased addresses. */
  readonly addresses: Set<string>
  readonly #entries: readonly RecordEntry[]

  /** Reads both folders; the lock must be held. */
  constructor(store: LeaseStore, records: RecordStore) {
    this.store = store
    this.records = records
    this.addresses = store.addresses()
    this.#entries = records.list()
  }

  /**
   * The addresses leased to an attachment. Its own record names them; an attachment without one may have leases
   * the reference made, which are opened: all that no record speaks of.
   */
  of(containerID: string, ifName: string): string[] {
    const mine = (owner: Owner | undefined) => isOwner(owner, containerID, ifName)
    const recorded = this.recordsOf(containerID, ifName).flatMap(entry => entry.addresses)
    const found = recorded.filter(address => this.addresses.has(address) && mine(this.store.owner(address)))
    if (found.length > 0) return found
    return this.#unrecorded().filter(address => mine(this.store.owner(address)))
  }

  /** The addresses leased to a container by a version of the reference that did not note the interface. */
  ofContainerAlone(containerID: string): string[] {
    return this.#unrecorded().filter(address => {
      const owner = this.store.owner(address)
      return owner?.containerID === containerID && owner.ifName === undefined
    })
  }

  recordsOf(containerID: string, ifName: string): RecordEntry[] {
    return this.#entries.filter(entry => this.records.isOf(entry, containerID, ifName))
  }

  /** Gives an address back, and forgets it here. */
  release(address: string): void {
    this.store.release(address)
    this.addresses.delete(address)
  }

  /** Removes the records that speak of no lease any more. */
  removeStaleRecords(): void {
    for (const entry of this.#entries) {
      if (!entry.addresses.some(address => this.addresses.has(address))) this.records.remove(entry)
    }
  }

  #unrecorded(): string[] {
    const recorded = new Set(this.#entries.flatMap(entry => entry.addresses))
    return [...this.addresses].filter(address => !recorded.has(address))
  }
}
