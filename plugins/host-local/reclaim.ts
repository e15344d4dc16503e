import { warn } from '../../src/host/log'
import type { Holding } from './holding'
import type { Leases } from './leases'
import { type Caller, endedHoldings } from './liveness'

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
export const reclaim = (leases: Leases, caller: Caller, isWanted: (address: string) => boolean): boolean => {
  // The lock is held: no process is writing a lease that looks torn.
  const { torn, ended } = findAbandoned(leases, caller, isWanted)
  for (const address of torn) leases.releaseAddress(address)
  for (const holding of ended) leases.release(holding)
  if (ended.length > 0) warnOf(ended)
  return torn.length + ended.length > 0
}
