import { type LeaseOwner, leaseKeyOf } from '../../src/attachment/lease'
import { containerWithPod } from '../../src/attachment/pod'
import { CniError, ErrorCode } from '../../src/cni/error'
import { addrEquals, formatAddr } from '../../src/ip/addr'
import type { AllocationRequest, Slot } from './allocator'
import type { Leases } from './leases'
import { endedHoldings, holdsPorts } from './liveness'
import { contains, formatRangeSet, rangeOf } from './range'
import { reclaim } from './reclaim'
import { inSpan } from './span'
import { formatUsage, leasedIn } from './usage'

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
  reclaim(leases, caller, other => other === address)
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
