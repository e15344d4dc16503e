/**
 * Leases of host-local for those who do not know its configuration: by address, in the folder that is usual. They tell
 * whose an address is where a rule names its container alone.
 */
import { readdirSync } from 'node:fs'
import { readAdvice } from '../host/plain-file'
import type { InterfaceID } from './attachment'
import { type LeaseOwner, parseLease } from './lease'

/** Where host-local keeps its leases unless its configuration names another folder. */
export const usualDataDir = '/var/lib/cni/networks'

const readLease = (path: string): LeaseOwner | undefined => parseLease(readAdvice(path) ?? '')

/** Whose lease an address of a network is; undefined if nothing tells. */
export const leaseOn = (network: string, address: string, dataDir = usualDataDir): LeaseOwner | undefined =>
  readLease(`${dataDir}/${network}/${address}`)

/** A lease, and the network it is of. */
type NetworkLease = LeaseOwner & { readonly network: string }

/** The leases of an address on all networks: several may use the same range. */
export const leasesOf = (address: string, dataDir = usualDataDir): NetworkLease[] => {
  let networks: string[]
  try {
    networks = readdirSync(dataDir)
  } catch {
    return []
  }
  return networks.flatMap(network => {
    const owner = leaseOn(network, address, dataDir)
    return owner ? [{ ...owner, network }] : []
  })
}

/** Is it the lease of this interface? Old versions of the reference noted the container alone. */
export const isLeaseOf = (lease: LeaseOwner, { containerID, ifName }: InterfaceID): boolean =>
  lease.containerID === containerID && (lease.ifName === undefined || lease.ifName === ifName)
