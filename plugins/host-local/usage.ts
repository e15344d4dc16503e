import { CniError, ErrorCode } from '../../src/cni/error'
import { parseAddr } from '../../src/ip/addr'
import type { Leases } from './leases'
import { capacityOf, formatRangeSet, isAllocatable, type RangeSet } from './range'
import { findAbandoned } from './reclaim'
import type { Span } from './span'

/** The leased addresses among those that can be given out of the set. */
export const leasedIn = (leases: Leases, set: RangeSet, excluded: readonly Span[]): string[] =>
  leases.addresses().filter(isGivenOutOf(set, excluded))

const isGivenOutOf =
  (set: RangeSet, excluded: readonly Span[]) =>
  (address: string): boolean => {
    const addr = parseAddr(address)
    return addr !== undefined && isAllocatable(set, excluded, addr)
  }

/** How much of a range set is in use, in the words of an error's details. */
export const formatUsage = (used: number, set: RangeSet, excluded: readonly Span[]): string =>
  `${used} of ${capacityOf(set, excluded)} in use`

/** No attachment: STATUS is for none. */
const nobody = { containerID: '', netns: undefined }

/** Throws code 50 if the next ADD would find no address of the set, not even one to take from the dead. */
export const refuseFull = (leases: Leases, set: RangeSet, excluded: readonly Span[]): void => {
  const total = capacityOf(set, excluded)
  // Every lease has a name, so that fewer names than addresses need no closer look.
  if (BigInt(leases.nameCount) < total) return
  const used = leasedIn(leases, set, excluded)
  if (BigInt(used.length) < total) return
  const { torn, ended } = findAbandoned(leases, nobody, isGivenOutOf(set, excluded))
  if (torn.length + ended.length > 0) return
  throw new CniError(
    ErrorCode.pluginNotAvailable,
    `host-local: no IP addresses available in range set: ${formatRangeSet(set)}`,
    { details: formatUsage(used.length, set, excluded) },
  )
}
