/** Routes of the host on which packets of containers end. */

import type { HostLink } from '../../node/survey/links'
import { rangeOverlaps } from '../../node/survey/range-overlaps'
import type { Survey } from '../../node/survey/survey'
import type { Family } from '../../src/ip/addr'
import { cidrOverlaps, formatCidr } from '../../src/ip/cidr'
import { type RejectingRoute, RT_TABLE_MAIN } from '../../src/netlink/route'
import { type Check, type Diagnosis, fault, ok, orOk } from './diagnosis'

/** The interface that the best default route of a family leads to; undefined if there is none. */
export const uplinkOf = ({ readings }: Survey, family: Family): HostLink | undefined => {
  const [best] = readings.routes
    .filter(({ dst, table }) => dst.prefix === 0 && dst.addr.family === family && table === RT_TABLE_MAIN)
    .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
  return readings.links.find(({ index }) => index === best?.index)
}

const rangesOf = ({ readings: { networks } }: Survey, family: Family) =>
  networks
    .filter(({ isGateway }) => isGateway)
    .flatMap(({ name, ipam }) =>
      (ipam?.rangeSets ?? []).flatMap(({ ranges }) => ranges.map(range => ({ name, range }))),
    )
    .filter(({ range }) => range.subnet.addr.family === family)

const nameOf = ({ kind, dst }: RejectingRoute): string =>
  `${kind} ${dst.prefix === 0 ? 'default' : formatCidr(dst)}`

/** Routes that take packets to containers, or those that would leave by the default route. */
const refusing = (survey: Survey, family: Family): Diagnosis[] => {
  const ranges = rangesOf(survey, family)
  const uplink = uplinkOf(survey, family)
  return survey.readings.rejecting
    .filter(({ dst }) => dst.addr.family === family)
    .flatMap(route => {
      const remedy = `ip -${family} route del ${nameOf(route)}${route.priority ? ` metric ${route.priority}` : ''}`
      // The route of the bridge itself has the length of its subnet.
      const hit = ranges.find(
        ({ range }) => cidrOverlaps(range.subnet, route.dst) && route.dst.prefix > range.subnet.prefix,
      )
      if (hit) {
        const says = `the route "${nameOf(route)}" refuses packets to containers of network "${hit.name}"`
        return [fault('KN0066', { says, remedy })]
      }
      if (route.dst.prefix > 0 || ranges.length === 0 || uplink) return []
      return [
        fault('KN0066', { says: `the route "${nameOf(route)}" refuses all packets to the outside`, remedy }),
      ]
    })
}

const outside: Check = ({ survey }) => {
  const needed = ([4, 6] as const).filter(family => rangesOf(survey, family).length > 0)
  const lines = needed.flatMap((family): Diagnosis[] => {
    const lost = refusing(survey, family)
    // Nodes without IPv6 of their own give it to pods for each other.
    if (family === 6 || uplinkOf(survey, family)) return lost
    const says = `the host has no default route of IPv${family}: containers reach only the networks that it has routes to`
    return [
      ...lost,
      fault('KN0065', {
        says,
        remedy: 'ip route add default via ROUTER; see also the network manager of the host',
      }),
    ]
  })
  if (lines.length > 0) return lines
  return [ok('routes', needed.length > 0 ? 'the host has a way out' : 'no network needs one')]
}

export const routeChecks: readonly Check[] = [outside]

const overlaps: Check = ({ survey: { readings } }) => {
  const lines = rangeOverlaps(readings).map(({ code, ...overlap }) => fault(code, overlap))
  return orOk(lines, 'ranges', 'pod ranges overlap neither each other nor a host route')
}

export const rangeChecks: readonly Check[] = [overlaps]
