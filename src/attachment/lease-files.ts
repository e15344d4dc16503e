/**
 * Leases of host-local for those who do not know its configuration: by address, in the folder that is usual. They tell
 * whose an address is where a rule names its container alone.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import type { InterfaceID } from './attachment'
import { type LeaseOwner, parseLease } from './lease'

/** Where host-local keeps its leases unless its configuration names another folder. */
export const usualDataDir = '/var/lib/cni/networks'

/** No container ID and interface are longer; what is, is no lease. */
const maxLeaseBytes = 4096

const readLease = (path: string): LeaseOwner | undefined => {
  let fd: number | undefined
  try {
    // O_NONBLOCK: opening a pipe would wait for its writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stat = fstatSync(fd)
    if (!stat.isFile() || stat.size > maxLeaseBytes) return undefined
    return parseLease(readFileSync(fd, 'utf8'))
  } catch {
    return undefined // not there, or nothing that tells anything
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

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
