/** How much of each network's addresses is used, and by whom. */

import { capacityOf, formatRangeSet, isAllocatable, type RangeSet } from '../../plugins/host-local/range'
import { parseAddr } from '../../src/ip/addr'
import type { NodeAttachment } from './attachments'
import type { Network } from './networks'
import type { Readings } from './readings'

/** One range set: every container of the network gets an address of it. */
export type Pool = {
  readonly network: string
  /** "10.244.1.1-10.244.1.254" */
  readonly ranges: string
  readonly family: 4 | 6
  /** How many addresses can be given out in all; not exact above 2^53, as IPv6 networks have them. */
  readonly total: number
  readonly used: number
  /** Of those used, the leaked ones. */
  readonly leaked: number
  readonly free: number
}

const poolOf = (
  { name, ipam }: Network,
  set: RangeSet,
  { leases, gone }: { leases: Readings['leases']; gone: ReadonlySet<string> },
): Pool => {
  const withheld = ipam?.withheld ?? []
  const taken = leases.filter(({ network, dataDir, address }) => {
    if (network !== name || dataDir !== ipam?.dataDir) return false
    const addr = parseAddr(address)
    return addr !== undefined && isAllocatable(set, withheld, addr)
  })
  const total = Number(capacityOf(set, withheld))
  const leaked = taken.filter(
    ({ address, containerID }) => containerID === undefined || gone.has(`${name} ${address}`),
  )
  return {
    network: name,
    ranges: formatRangeSet(set),
    family: set.ranges[0].start.family,
    total,
    used: taken.length,
    leaked: leaked.length,
    free: Math.max(0, total - taken.length),
  }
}

/** The pools of all networks that have their addresses from host-local. */
export const poolsOf = (attachments: readonly NodeAttachment[], { networks, leases }: Readings): Pool[] => {
  const gone = new Set(
    attachments
      .filter(({ state }) => state === 'gone')
      .flatMap(entry => entry.leases.map(({ network, address }) => `${network} ${address}`)),
  )
  return networks.flatMap(network =>
    (network.ipam?.rangeSets ?? []).map(set => poolOf(network, set, { leases, gone })),
  )
}
