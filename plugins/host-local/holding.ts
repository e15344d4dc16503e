import { type LeaseOwner, leaseKeyOf } from '../../src/attachment/lease'
import { warn } from '../../src/host/log'
import { parseAddr } from '../../src/ip/addr'
import type { LeaseStore } from './store'

/** The addresses an attachment has on the network, and the key of its record. */
export type Holding = {
  readonly key: string
  readonly owner: LeaseOwner
  readonly addresses: readonly string[]
}

/** The contents of the leases themselves: who has what, by key, and which of them a crash left without an owner. */
export type Reading = { readonly holdings: Map<string, Holding>; readonly torn: Set<string> }

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
