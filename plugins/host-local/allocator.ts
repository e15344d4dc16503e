import type { LeaseOwner } from '../../src/attachment/lease'
import { CniError, ErrorCode } from '../../src/cni/error'
import { warn } from '../../src/host/log'
import { type Addr, formatAddr } from '../../src/ip/addr'
import type { Leases } from './leases'
import { type Caller, collectAbandoned } from './liveness'
import { candidates, contains, isAllocatable, type Range, type RangeSet, rangeOf, type Span } from './range'
import { exhausted, notAvailable, refuseDuplicate, refuseUnavailable } from './refusals'

/** An address that was leased, with the range it is of; one that was preferred was not the next in turn. */
export type Allocation = { readonly addr: Addr; readonly range: Range; readonly isPreferred?: boolean }

/** The owner of addresses, and the ranges that they may be from. */
export type AllocationRequest = {
  readonly owner: LeaseOwner
  readonly caller: Caller
  /** One address is leased of each. */
  readonly rangeSets: readonly RangeSet[]
  /** Addresses asked for: each goes to the first set that contains it, one to a set. */
  readonly requested: readonly Addr[]
  /** Never given out. */
  readonly excluded: readonly Span[]
  /** Not given out in turn; what is excluded is among it. */
  readonly withheld: readonly Span[]
  /** Addresses that are given out first, where they are free; each must be one that its turn could come to. */
  readonly preferred: readonly Addr[]
}

/** A range set, its index among the network's, and the address asked for of it. */
export type Slot = { readonly set: RangeSet; readonly index: number; readonly requested: Addr | undefined }

const slotsOf = ({ rangeSets, requested }: AllocationRequest): Slot[] => {
  let left = requested
  const slots = rangeSets.map((set, index) => {
    const wanted = left.find(addr => rangeOf(set, addr))
    left = left.filter(addr => addr !== wanted)
    return { set, index, requested: wanted }
  })
  if (left.length === 0) return slots
  const text = left.map(formatAddr).join(' ')
  throw new CniError(ErrorCode.invalidNetworkConfig, `failed to allocate all requested IPs: ${text}`)
}

/** Leases the next address in turn; one that is cooling down only if there is no other. */
const takeNext = (
  leases: Leases,
  request: AllocationRequest,
  { set, index }: Slot,
): Allocation | undefined => {
  const { cooldown, here, store } = leases
  const now = here.now()
  let cooling: Allocation | undefined
  for (const candidate of candidates(set, store.lastReserved(index), request.withheld)) {
    const address = formatAddr(candidate.addr)
    if (leases.isTaken(address)) continue
    if (cooldown.isCooling(address, now)) cooling ??= candidate
    else if (leases.reserve(address, request.owner)) return candidate
  }
  return cooling && leases.reserve(formatAddr(cooling.addr), request.owner) ? cooling : undefined
}

/** Leases the address that is preferred over the next one in turn, if there is one and it is free. */
const takePreferred = (leases: Leases, request: AllocationRequest, { set }: Slot): Allocation | undefined => {
  const { preferred, withheld, owner } = request
  const addr = preferred.find(one => isAllocatable(set, withheld, one))
  const range = addr && rangeOf(set, addr)
  if (!range || leases.isTaken(formatAddr(addr)) || !leases.reserve(formatAddr(addr), owner)) return undefined
  return { addr, range, isPreferred: true }
}

const take = (leases: Leases, request: AllocationRequest, slot: Slot): Allocation => {
  const { requested, set } = slot
  if (requested) {
    const range = rangeOf(set, requested)
    const address = formatAddr(requested)
    if (range && leases.reserve(address, request.owner)) return { addr: requested, range }
    throw notAvailable(leases, slot, address)
  }
  const next = takePreferred(leases, request, slot) ?? takeNext(leases, request, slot)
  if (next) return next
  const reclaimed = collectAbandoned(leases, request.caller, address => contains(set, address))
  const afterwards = reclaimed ? takeNext(leases, request, slot) : undefined
  if (!afterwards) throw exhausted(leases, request, slot)
  return afterwards
}

/** Does a step for one slot; what it refuses names the slot. */
const forSlot = <T>({ index }: Slot, step: () => T): T => {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(error.code, `failed to allocate for range ${index}: ${error.message}`, {
      details: error.details,
    })
  }
}

const giveBack = (leases: Leases, allocations: readonly Allocation[]): void => {
  for (const { addr } of allocations) {
    try {
      leases.releaseAddress(formatAddr(addr))
    } catch (error) {
      // The command must report the first failure.
      warn(`host-local: free ${formatAddr(addr)}: ${error instanceof Error ? error.message : error}`)
    }
  }
}

/**
 * Leases one address of each range set, or none at all; they are durable after `store.sync`. Throws if the attachment has
 * one already, if one that is asked for cannot be had, or if none is left.
 */
export const allocate = (leases: Leases, request: AllocationRequest): Allocation[] => {
  const slots = slotsOf(request)
  for (const slot of slots) {
    forSlot(slot, () => {
      refuseUnavailable(leases, request, slot)
      refuseDuplicate(leases, request, slot)
    })
  }
  const allocations: Allocation[] = []
  try {
    for (const slot of slots) allocations.push(forSlot(slot, () => take(leases, request, slot)))
    for (const [index, { addr, isPreferred }] of allocations.entries())
      if (!isPreferred) leases.setLastReserved(index, formatAddr(addr))
    return allocations
  } catch (error) {
    giveBack(leases, allocations)
    throw error
  }
}
