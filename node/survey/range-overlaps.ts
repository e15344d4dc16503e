/** Ranges of networks that lie across each other, or across what the host reaches by other interfaces. */

import { formatRangeSet, type RangeSet, setsOverlap } from '../../plugins/host-local/range'
import { formatAddr } from '../../src/ip/addr'
import { type Cidr, cidrContains, cidrOverlaps, formatCidr, networkOf } from '../../src/ip/cidr'
import type { FaultCode } from './faults'
import type { Network } from './networks'
import type { Readings } from './readings'

/** Addresses that two have, the fault that this is, and the remedy. */
type Overlap = { readonly code: FaultCode; readonly says: string; readonly remedy: string }

type Placed = { readonly network: Network; readonly set: RangeSet }

const setsOf = (networks: readonly Network[]): Placed[] =>
  networks.flatMap(network => (network.ipam?.rangeSets ?? []).map(set => ({ network, set })))

/** Each network leases by itself: an address that two have is given out twice. */
const betweenNetworks = (sets: readonly Placed[]): Overlap[] =>
  sets.flatMap((a, i) =>
    sets
      .slice(i + 1)
      .filter(b => a.network !== b.network && setsOverlap(a.set, b.set))
      .map(b => ({
        code: 'KN0024',
        says: `networks "${a.network.name}" and "${b.network.name}" share addresses: ${formatRangeSet(a.set)} and ${formatRangeSet(b.set)}`,
        remedy: 'give each network a range of its own',
      })),
  )

const subnetsOf = ({ set }: Placed): Cidr[] => set.ranges.map(({ subnet }) => subnet)

/** The interfaces that belong to the network itself: its bridge, and the gateways of VLANs beside it. */
const isOwn = (name: string, { bridge = '' }: Network): boolean =>
  name === bridge || name.startsWith(`${bridge}.`)

const nameOf = ({ links }: Readings, index: number): string =>
  links.find(link => link.index === index)?.name ?? String(index)

const overlapOfAddress = (subnet: Cidr, network: Network, readings: Readings): Overlap[] =>
  readings.addrs.flatMap(({ cidr, index }): Overlap[] => {
    const name = nameOf(readings, index)
    if (isOwn(name, network) || name === 'lo' || !cidrOverlaps(subnet, networkOf(cidr))) return []
    const where = `range ${formatCidr(subnet)} of network "${network.name}"`
    const own = 'give the network a range that nothing else on the node uses'
    const isBridge = readings.links.some(link => link.index === index && link.kind === 'bridge')
    const isUsed = readings.links.some(({ master }) => master === index)
    const bridgeRemedy = isUsed
      ? `${own}, or if its containers are on "${name}", set "bridge": "${name}"`
      : `ip link del ${name}: it is a bridge without ports`
    const remedy = isBridge ? bridgeRemedy : own
    if (cidrContains(subnet, cidr.addr))
      return [
        {
          code: 'KN0025',
          says: `"${name}" has the address ${formatAddr(cidr.addr)}, which is in ${where}`,
          remedy,
        },
      ]
    const says = `${where} is part of ${formatCidr(networkOf(cidr))} on "${name}": containers do not reach other addresses of it`
    return [{ code: 'KN0026', says, remedy }]
  })

/** A route of the same length or longer takes packets away from the bridge; a shorter one gives way to it. */
const overlapOfRoute = (subnet: Cidr, network: Network, readings: Readings): Overlap[] =>
  readings.routes.flatMap(({ dst, index }): Overlap[] => {
    const name = nameOf(readings, index)
    const isConnected = readings.addrs.some(
      addr =>
        addr.index === index && cidrOverlaps(dst, networkOf(addr.cidr)) && addr.cidr.prefix <= dst.prefix,
    )
    if (isOwn(name, network) || isConnected || dst.prefix < subnet.prefix || !cidrOverlaps(subnet, dst))
      return []
    return [
      {
        code: 'KN0027',
        says: `the route to ${formatCidr(dst)} by "${name}" takes packets for range ${formatCidr(subnet)} of network "${network.name}"`,
        remedy: `ip route del ${formatCidr(dst)} dev ${name}, or give the network another range`,
      },
    ]
  })

/** The overlaps of all configured networks with each other and with the host. */
export const rangeOverlaps = (readings: Readings): Overlap[] => {
  const configured = readings.networks.filter(({ file }) => file !== undefined)
  const sets = setsOf(configured)
  return [
    ...betweenNetworks(sets),
    ...sets.flatMap(placed =>
      subnetsOf(placed).flatMap(subnet => [
        ...overlapOfAddress(subnet, placed.network, readings),
        ...overlapOfRoute(subnet, placed.network, readings),
      ]),
    ),
  ]
}
