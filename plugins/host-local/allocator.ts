import { CniError, ErrorCode } from '../../src/cni/error'
import { type Addr, addrEquals, formatAddr, parseAddr } from '../../src/ip/addr'
import type { Leases } from './leases'
import {
  candidates,
  capacityOf,
  formatRangeSet,
  inSpan,
  type Range,
  type RangeSet,
  rangeOf,
  type Span,
} from './range'

/** An address that was leased, with the range it is of. */
export type Allocation = { readonly addr: Addr; readonly range: Range }

/** Who an address is for, and what of the range set may be given. */
export type AllocationRequest = {
  readonly containerID: string
  readonly ifName: string
  readonly set: RangeSet
  /** The set's index among the network's, which names its last_reserved_ip file. */
  readonly index: number
  /** An address asked for, which the set contains. */
  readonly requested: Addr | undefined
  readonly excluded: readonly Span[]
}

const holderOf = (leases: Leases, address: string): string => {
  const owner = leases.store.owner(address)
  if (!owner) return 'by nobody: the lease is empty'
  const since = new Date(leases.store.madeAt(address)).toISOString()
  return `by container ${owner.containerID}${owner.ifName ? `, ${owner.ifName}` : ''}, since ${since}`
}

/** Leases the address asked for, or throws saying who has it. */
const allocateRequested = (leases: Leases, request: AllocationRequest, addr: Addr): Allocation => {
  const { set, containerID, ifName } = request
  const range = rangeOf(set, addr)
  const address = formatAddr(addr)
  if (!range) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `${address} not in range set ${formatRangeSet(set)}`)
  }
  if (addrEquals(addr, range.gateway)) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `requested ip ${address} is subnet's gateway`)
  }
  reclaimIfTorn(leases, address)
  if (leases.addresses.has(address) || !leases.store.reserve(addr, containerID, ifName)) {
    throw new CniError(
      ErrorCode.tryAgainLater,
      `requested IP address ${address} is not available in range set ${formatRangeSet(set)}`,
      { details: `leased ${holderOf(leases, address)}` },
    )
  }
  return { addr, range }
}

/** Frees a lease that a crash left without an owner. The lock is held, so nobody is just writing it. */
const reclaimIfTorn = (leases: Leases, address: string): boolean => {
  if (!leases.addresses.has(address) || leases.store.owner(address)) return false
  leases.release(address)
  return true
}

const refuseDuplicate = (leases: Leases, { containerID, ifName, set }: AllocationRequest): void => {
  for (const address of [...leases.of(containerID, ifName), ...leases.ofContainerAlone(containerID)]) {
    const addr = addressIn(set, address)
    if (!addr) continue
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `${address} has been allocated to ${containerID}, duplicate allocation is not allowed`,
    )
  }
}

const addressIn = (set: RangeSet, address: string): Range | undefined => {
  const addr = parseAddr(address)
  return addr && rangeOf(set, addr)
}

const allocateNext = (leases: Leases, request: AllocationRequest): Allocation | undefined => {
  const { set, index, excluded, containerID, ifName } = request
  for (const candidate of candidates(set, leases.store.lastReserved(index), excluded)) {
    if (leases.addresses.has(formatAddr(candidate.addr))) continue
    if (leases.store.reserve(candidate.addr, containerID, ifName)) return candidate
  }
  return undefined
}

/** The addresses of `set` that are leased. */
export const leasedIn = (leases: Leases, set: RangeSet, excluded: readonly Span[] = []): string[] =>
  [...leases.addresses].filter(address => {
    const addr = parseAddr(address)
    return (
      addr !== undefined && rangeOf(set, addr) !== undefined && !excluded.some(span => inSpan(span, addr))
    )
  })

const namedInError = 3

const exhausted = (leases: Leases, { set, excluded }: AllocationRequest): CniError => {
  const used = leasedIn(leases, set)
  const oldest = used
    .map(address => ({ address, time: leases.store.madeAt(address) }))
    .sort((a, b) => a.time - b.time)
    .slice(0, namedInError)
    .map(({ address }) => `${address} ${holderOf(leases, address)}`)
  const total = capacityOf(set, excluded)
  return new CniError(
    ErrorCode.tryAgainLater,
    `no IP addresses available in range set: ${formatRangeSet(set)}`,
    { details: `${used.length} of ${total} in use; the oldest leases: ${oldest.join('; ')}` },
  )
}

/** Leases one address of a range set. Throws if the attachment has one already, or if none is to be had. */
export const allocate = (leases: Leases, request: AllocationRequest): Allocation => {
  const { requested, set, index } = request
  const lease = () => {
    if (requested) return allocateRequested(leases, request, requested)
    refuseDuplicate(leases, request)
    const next = allocateNext(leases, request)
    if (next) return next
    const reclaimed = leasedIn(leases, set).filter(address => reclaimIfTorn(leases, address))
    return reclaimed.length > 0 ? allocateNext(leases, request) : undefined
  }
  const allocation = lease()
  if (!allocation) throw exhausted(leases, request)
  leases.addresses.add(formatAddr(allocation.addr))
  leases.store.setLastReserved(index, allocation.addr)
  return allocation
}
