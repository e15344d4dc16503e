/**
 * Which leases are of containers that ended without a DEL: after a power cut, or where the runtime lost track of
 * them. Only a record can tell, and only what is certain counts: a lease that may be of a living container stays.
 */
import { type Here, type NetnsNumber, once } from './here'
import type { Holding } from './holding'
import type { Leases } from './leases'
import type { AttachmentRecord } from './record'

/** What is younger is not judged: its runtime may be just putting the namespace in place. */
const graceMs = 60_000

/** The container a call is for: its namespace is alive. */
export type Caller = { readonly containerID: string; readonly netns: NetnsNumber | undefined }

/** What a record is judged by. The functions answer from what they read the first time. */
type Evidence = {
  readonly here: Here
  readonly caller: Caller
  readonly livingNetns: () => ReadonlySet<number>
  /** The records of all attachments. */
  readonly records: () => readonly AttachmentRecord[]
}

const isSame = (a: NetnsNumber | undefined, b: NetnsNumber | undefined): boolean =>
  a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino

/** Does a namespace with the record's number belong to another container? The kernel uses numbers again. */
const isAnothers = (
  { containerID, netns }: AttachmentRecord,
  { here, caller, records }: Evidence,
): boolean => {
  if (caller.containerID !== containerID && isSame(caller.netns, netns)) return true
  return records().some(
    other =>
      other.containerID !== containerID &&
      other.netns !== undefined &&
      isSame(other.netns, netns) &&
      isSame(here.netnsAt(other.netns.path), netns),
  )
}

/** Has the network namespace of the attachment ended? False where that is not certain. */
const netnsHasEnded = (record: AttachmentRecord, evidence: Evidence): boolean => {
  const { netns, time } = record
  const { here, livingNetns } = evidence
  if (!netns || here.now() - time < graceMs) return false
  if (isSame(here.netnsAt(netns.path), netns)) return false
  // The path alone proves nothing: it may be hidden from this process, or be taken away before the namespace ends.
  return !livingNetns().has(netns.ino) || isAnothers(record, evidence)
}

/**
 * Those of `holdings` whose container has certainly ended: they are of an earlier boot of this host, or the network
 * namespace they were made for is gone.
 */
export const endedHoldings = (leases: Leases, holdings: readonly Holding[], caller: Caller): Holding[] => {
  const { here } = leases
  const host = here.host()
  const evidence: Evidence = {
    here,
    caller,
    livingNetns: once(() => here.livingNetns()),
    records: once(() => leases.all().flatMap(holding => leases.recordOf(holding) ?? [])),
  }
  return holdings.filter(holding => {
    const record = leases.recordOf(holding)
    // Several hosts may share a folder; each can speak of its own containers only.
    if (record?.host !== host || here.bootID === '') return false
    return record.bootID !== here.bootID || netnsHasEnded(record, evidence)
  })
}
