/** host-local's leases of all networks, with the records beside them. */

import { readdirSync } from 'node:fs'
import { type AttachmentRecord, RecordStore } from '../../plugins/host-local/record'
import { LeaseStore } from '../../plugins/host-local/store'
import { leaseKeyOf } from '../../src/attachment/lease'
import { errnoOf } from '../../src/host/errno'
import { parseAddr } from '../../src/ip/addr'

/** One lease: an address of a network that is given out. */
export type Lease = {
  readonly network: string
  readonly dataDir: string
  readonly address: string
  /** Undefined for a torn lease, which a crash left empty. */
  readonly containerID: string | undefined
  /** Undefined for a torn lease, and for one of an old version of the reference. */
  readonly ifName: string | undefined
  /** Milliseconds since the epoch. */
  readonly madeAt: number
  /** The record of this very lease; undefined for one that the reference made. */
  readonly record: AttachmentRecord | undefined
}

/** The leases of some folders, and how many could not be read. */
type Leases = { readonly leases: readonly Lease[]; readonly unreadable: number }

/** The networks that have leases in a folder: those whose folders are named as networks are. */
const networksIn = (dataDir: string): string[] => {
  try {
    return readdirSync(dataDir, { withFileTypes: true })
      .filter(entry => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

type Place = { readonly dataDir: string; readonly network: string }

const readNetwork = ({ dataDir, network }: Place, tell: (what: string) => void): Leases => {
  const store = new LeaseStore(dataDir, network)
  const records = new RecordStore(dataDir, network)
  const found: Lease[] = []
  let unreadable = 0
  const names = store.names()
  for (const [at, address] of [...names].entries()) {
    tell(`lease ${at + 1} of ${names.size} of network "${network}"`)
    if (!parseAddr(address)) continue
    const owner = store.read(address)
    const { madeAt, identity } = store.stamp(address) ?? { madeAt: 0, identity: undefined }
    const base = { network, dataDir, address, madeAt }
    if (owner === undefined) {
      // A lease that cannot be opened is still shown.
      if (base.madeAt !== 0) unreadable++
    } else if (owner === 'torn') {
      found.push({ ...base, containerID: undefined, ifName: undefined, record: undefined })
    } else {
      const record = records.read(leaseKeyOf(owner))
      const isOfThis = record?.leases[address] === identity
      found.push({ ...base, ...owner, record: isOfThis ? record : undefined })
    }
  }
  return { leases: found, unreadable }
}

/** Reads every lease in the folders. The cost grows with their number: some ten microseconds each. */
export const readLeases = (dataDirs: readonly string[], tell: (what: string) => void = () => {}): Leases => {
  const read = dataDirs
    .flatMap(dataDir => networksIn(dataDir).map(network => ({ dataDir, network })))
    .map(place => readNetwork(place, tell))
  return {
    leases: read.flatMap(({ leases }) => leases),
    unreadable: read.reduce((sum, { unreadable }) => sum + unreadable, 0),
  }
}
