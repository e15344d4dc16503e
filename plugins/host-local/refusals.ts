/** Addresses that are not given out, and how the failure says why. */

import { containerWithPod } from '../../src/attachment/attachment'
import { type LeaseOwner, leaseKeyOf } from '../../src/attachment/lease'
import { CniError, ErrorCode } from '../../src/cni/error'
import { addrEquals, formatAddr, parseAddr } from '../../src/ip/addr'
import type { AllocationRequest, Slot } from './allocator'
import type { Leases } from './leases'
import { collectAbandoned, endedHoldings, findAbandoned, holdsPorts } from './liveness'
import {
  capacityOf,
  contains,
  formatRangeSet,
  inSpan,
  isAllocatable,
  type RangeSet,
  rangeOf,
  type Span,
} from './range'

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

/** The pod of an owner, where that is on record. */
const podOf = ({ records }: Leases, owner: LeaseOwner): string | undefined =>
  records.read(leaseKeyOf(owner))?.pod

const holderOf = (leases: Leases, address: string): string => {
  const { store } = leases
  let why = `"${store.folder}/${address}" is gone`
  const owner = store.read(address, what => {
    why = what
  })
  if (owner === undefined) return `by another object: ${why}`
  if (owner === 'torn') return 'by no container: the lease is empty'
  const since = new Date(store.madeAt(address)).toISOString()
  const holder = containerWithPod({ containerID: owner.containerID, pod: podOf(leases, owner) })
  return `by container ${holder}${owner.ifName === undefined ? '' : `, ${owner.ifName}`}, since ${since}`
}

/** The failure of an address that is asked for and leased already; its details say to whom. */
export const notAvailable = (leases: Leases, { set }: Slot, address: string): CniError =>
  new CniError(
    ErrorCode.tryAgainLater,
    `requested IP address ${address} is not available in range set ${formatRangeSet(set)}`,
    { details: `leased ${holderOf(leases, address)}` },
  )

/** Throws if the address asked for is the gateway, excluded, or leased to a container that may be alive. */
export const refuseUnavailable = (
  leases: Leases,
  { caller, excluded }: AllocationRequest,
  slot: Slot,
): void => {
  const { requested, set } = slot
  if (!requested) return
  const address = formatAddr(requested)
  const gateway = rangeOf(set, requested)?.gateway
  if (gateway && addrEquals(gateway, requested)) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `requested ip ${address} is subnet's gateway`)
  }
  if (excluded.some(span => inSpan(span, requested))) {
    throw new CniError(ErrorCode.invalidNetworkConfig, `requested ip ${address} is excluded`, {
      details: 'it is in "exclude", or the bridge itself has it; use "staticRanges" for addresses on request',
    })
  }
  if (!leases.isTaken(address)) return
  collectAbandoned(leases, caller, other => other === address)
  if (leases.isTaken(address)) throw notAvailable(leases, slot, address)
}

/** Throws if the container has an address of the set, unless that is left from an earlier life of it. */
export const refuseDuplicate = (
  leases: Leases,
  { owner, caller }: AllocationRequest,
  { set }: Slot,
): void => {
  const { containerID } = owner
  for (const holding of [leases.of(owner), leases.of({ containerID, ifName: undefined })]) {
    const duplicate = holding?.addresses.find(address => contains(set, address))
    if (!holding || duplicate === undefined) continue
    if (endedHoldings(leases, [holding], caller).length > 0) {
      leases.release(holding)
      continue
    }
    const holder = containerWithPod({ containerID, pod: podOf(leases, owner) })
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `${duplicate} has been allocated to ${holder}, duplicate allocation is not allowed`,
    )
  }
}

const namedInError = 3

/** The failure of a set that has no address left; its details say how many are in use, and by whom for longest. */
export const exhausted = (leases: Leases, { withheld }: AllocationRequest, { set }: Slot): CniError => {
  const used = leasedIn(leases, set, withheld)
  const oldest = used
    .map(address => ({ address, time: leases.store.madeAt(address) }))
    .sort((a, b) => a.time - b.time)
    .slice(0, namedInError)
    .map(({ address }) => `${address} ${holderOf(leases, address)}`)
  const details = [formatUsage(used.length, set, withheld), `the oldest leases: ${oldest.join('; ')}`]
  const { network } = leases.store
  const withPorts = leases.all().filter(({ owner }) => holdsPorts(network, owner)).length
  if (withPorts > 0) {
    const whose = `${withPorts} of their containers have host ports`
    details.push(
      `${whose} and keep their addresses until these are closed: "kubenet gc ${network}" shows ended containers`,
    )
  }
  return new CniError(
    ErrorCode.tryAgainLater,
    `no IP addresses available in range set: ${formatRangeSet(set)}`,
    { details: (oldest.length > 0 ? details : details.slice(0, 1)).join('; ') },
  )
}
