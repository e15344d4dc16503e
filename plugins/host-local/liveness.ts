/** Which leases are of containers that ended without a DEL: after a power cut, or where the runtime lost track of them. */
import { hasHostPorts } from '../../src/attachment/host-ports'
import type { LeaseOwner } from '../../src/attachment/lease'
import { warn } from '../../src/host/log'
import { once } from '../../src/life/host-view'
import { type Claimant, judgeLife, type Subject } from '../../src/life/judge'
import type { Holding, Leases } from './leases'
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
 * Those of `holdings` whose container has certainly ended. Not one that still has host ports: connections would reach
 * the next container with its address, so DEL or GC removes the ports first.
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

/** Leases without a live container: torn ones, and those of containers that ended without a DEL. */
type Abandoned = { readonly torn: readonly string[]; readonly ended: readonly Holding[] }

/** Of the addresses that `isWanted` selects, those whose lease has no live container. Opens every lease. */
export const findAbandoned = (
  leases: Leases,
  caller: Caller,
  isWanted: (address: string) => boolean,
): Abandoned => ({
  torn: leases.torn().filter(isWanted),
  ended: endedHoldings(
    leases,
    leases.all().filter(({ addresses }) => addresses.some(isWanted)),
    caller,
  ),
})

const namedInWarning = 3

const warnOf = (ended: readonly Holding[]): void => {
  const named = ended.slice(0, namedInWarning).map(holding => holding.owner.containerID)
  const more = ended.length > named.length ? ` and ${ended.length - named.length} more` : ''
  warn(`host-local: freed the addresses of containers that ended without a DEL: ${named.join(', ')}${more}`)
}

/** Gives abandoned leases back. Says whether there were any. */
export const collectAbandoned = (
  leases: Leases,
  caller: Caller,
  isWanted: (address: string) => boolean,
): boolean => {
  // The lock is held: no process is writing a lease that looks torn.
  const { torn, ended } = findAbandoned(leases, caller, isWanted)
  for (const address of torn) leases.releaseAddress(address)
  for (const holding of ended) leases.release(holding)
  if (ended.length > 0) warnOf(ended)
  return torn.length + ended.length > 0
}
