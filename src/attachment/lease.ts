/**
 * Leases of host-local: the reference's format, which names no network (that is the folder's name), and their files for
 * those who do not know its configuration. They tell whose an address is where a rule names its container alone.
 */
import { readdirSync } from 'node:fs'
import { platform } from '#platform'
import { readAdvice } from '../host/plain-file'
import type { InterfaceID } from './attachment'

/** The owner of a lease. A lease of an old version of the reference has no `ifName`. */
export type LeaseOwner = { readonly containerID: string; readonly ifName: string | undefined }

const lineBreak = '\r\n'

const keyDigits = 24

/** The contents of a lease file: the container's ID and the interface's name, with no line break at the end. */
export const formatLease = ({ containerID, ifName }: LeaseOwner): string =>
  ifName === undefined ? containerID : `${containerID}${lineBreak}${ifName}`

/** The owner a lease file names; undefined for one that a crash left empty. The reference trims it, too. */
export const parseLease = (content: string): LeaseOwner | undefined => {
  // After a power cut some file systems show a file of the right length, all zeros.
  const text = content.replaceAll('\0', '').trim()
  if (text === '') return undefined
  const at = text.indexOf(lineBreak)
  if (at < 0) return { containerID: text, ifName: undefined }
  return { containerID: text.slice(0, at), ifName: text.slice(at + lineBreak.length) }
}

/** The name of the record beside the leases of an owner, whose folder is the network's. */
export const leaseKeyOf = ({ containerID, ifName = '' }: LeaseOwner): string =>
  platform.sha512Hex(`${containerID}${lineBreak}${ifName}`).slice(0, keyDigits)

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
