/** Which leases are of containers that ended without a DEL: after a power cut, or where the runtime lost track of them. */
import { hasHostPorts } from '../../src/attachment/host-ports'
import type { LeaseOwner } from '../../src/attachment/lease'
import { once } from '../../src/life/here'
import { type Claimant, judgeLife, type Subject } from '../../src/life/judge'
import type { Holding } from './holding'
import type { Leases } from './leases'
import type { AttachmentRecord } from './record'

/** Younger ones are not judged: its runtime may be just putting the namespace in place. */
const graceMs = 60_000

/** The container a call is for: its namespace is alive. */
export type Caller = Omit<Claimant, 'since'>

/** The evidence of life in a record. */
export const subjectOf = (record: AttachmentRecord, network: string): Subject => {
  const { containerID, ifName, netns, host, bootID, time, pidNamespace } = record
  return { network, containerID, ifName, netns, since: time, made: { host, bootID }, pidNamespace }
}

/** Do rules of ours still lead connections to the container? The reference's leases of old versions name no interface. */
export const holdsPorts = (network: string, { containerID, ifName }: LeaseOwner): boolean =>
  ifName !== undefined && hasHostPorts({ network, containerID, ifName })

const numberOf = (netns: Caller['netns']): Caller['netns'] => netns && { dev: netns.dev, ino: netns.ino }

/**
 * Those of `holdings` whose container has certainly ended. Not one that has host ports yet: connections would be led to
 * whoever gets its address, so that those go first, by DEL or GC.
 */
export const endedHoldings = (leases: Leases, holdings: readonly Holding[], caller: Caller): Holding[] => {
  const { here, store } = leases
  const claimants = once((): Claimant[] => [
    // Not the path of its namespace: a call has it open.
    { containerID: caller.containerID, netns: numberOf(caller.netns), since: here.now() },
    ...leases.all().flatMap(holding => {
      const record = leases.recordOf(holding)
      return record?.netns ? [{ ...record, netns: record.netns, since: record.time }] : []
    }),
  ])
  return holdings.filter(holding => {
    const record = leases.recordOf(holding)
    if (!record || holdsPorts(store.network, holding.owner)) return false
    const subject = subjectOf(record, store.network)
    // The caller's veth says nothing of an earlier life of it: it may be the one that this very call is making.
    const ifName = record.containerID === caller.containerID ? undefined : subject.ifName
    return judgeLife({ ...subject, ifName }, here, { graceMs, claimants }).state === 'dead'
  })
}
