/** Forwarding and IPv6 of single interfaces, which the sysctls of all do not tell. */
import type { Network } from '../../node/survey/networks'
import type { Survey } from '../../node/survey/survey'
import { dottedKey } from '../../node/sysctls'
import { forwardingKey } from '../../plugins/bridge/sysctls'
import { disableIPv6Key, readSysctl } from '../../src/host/sysctl'
import { type Check, fault, ok, orOk } from './diagnosis'
import { uplinkOf } from './routes'

const hasFamily = ({ ipam }: Network, family: 4 | 6): boolean =>
  ipam?.rangeSets.some(({ ranges }) => ranges[0].start.family === family) ?? false

const setting = (key: string, value: string) => ({
  remedy: `sysctl -w ${dottedKey(key)}=${value}, and in /etc/sysctl.d so that it stays`,
  repair: { do: 'set-sysctl', key, value } as const,
})

const bridgesOf = ({ readings: { networks, links } }: Survey, family: 4 | 6): string[] => {
  const names = networks.filter(network => network.isGateway && hasFamily(network, family))
  return [...new Set(names.flatMap(({ bridge = '' }) => bridge))].filter(bridge =>
    links.some(({ name }) => name === bridge),
  )
}

/** IPv4 is forwarded where the interface that a packet comes in by says so; IPv6 as all interfaces say. */
const forwardingOfOne: Check = ({ survey }) => {
  if (readSysctl(forwardingKey[4]) !== '1') return [] // the line of all interfaces says it
  const bridges = bridgesOf(survey, 4)
  const uplink = bridges.length > 0 ? (uplinkOf(survey, 4)?.name ?? []) : []
  return [...bridges].concat(uplink).flatMap(name => {
    const key = `net/ipv4/conf/${name}/forwarding`
    if (readSysctl(key) !== '0') return []
    const says = `"${name}" does not forward IPv4: what comes in by it does not leave by another interface`
    return [fault('KN0061', { says, ...setting(key, '1') })]
  })
}

/**
 * The interfaces that have gateways of IPv6, or are to get them. One that is not there yet gets the sysctl of
 * "default"; that of "all" is only what was last written to each.
 */
const gatewayInterfaces = ({ readings: { networks } }: Survey): string[] => {
  const routing = networks.filter(network => network.isGateway && hasFamily(network, 6))
  return [
    ...new Set(
      routing.flatMap(({ bridge, vlan }) => (bridge && vlan !== 0 ? `${bridge}.${vlan}` : (bridge ?? []))),
    ),
  ]
}

/** Without IPv6 on its gateway's interface a network gives addresses that reach nothing. */
const ipv6: Check = ({ survey }) => {
  const bridges = gatewayInterfaces(survey)
  if (bridges.length === 0) return []
  if (readSysctl(disableIPv6Key('all')) === undefined) {
    const says = `the kernel runs without IPv6, and "${bridges.join('", "')}" has a network with IPv6`
    const remedy = 'remove ipv6.disable=1 from the kernel command line, or the IPv6 range from the network'
    return [fault('KN0062', { says, remedy })]
  }
  const off = bridges.flatMap(name => {
    const key = [name, 'default'].map(disableIPv6Key).find(one => readSysctl(one) !== undefined)
    return key !== undefined && readSysctl(key) === '1' ? [{ name, key: dottedKey(key) }] : []
  })
  return orOk(
    off.map(({ name, key }) =>
      fault('KN0062', {
        says: `${key} is 1, and a network on "${name}" gives IPv6 addresses`,
        remedy: `sysctl -w ${key}=0, then "kubenet sync" for the addresses`,
      }),
    ),
    'ipv6',
    `IPv6 is on for ${bridges.join(', ')}`,
  )
}

/** From this part of the table on, the doctor speaks of it. */
const scarce = 0.9

/** A full table drops every new connection, of the host too. */
const conntrack: Check = () => {
  const [used, most] = ['nf_conntrack_count', 'nf_conntrack_max'].map(name =>
    Number(readSysctl(`net/netfilter/${name}`) ?? 0),
  )
  if (!used || !most || used < most * scarce)
    return [ok('conntrack', most ? `${used} of ${most} connections` : 'connections are not tracked')]
  const says = `${used} of ${most} connections: ${used >= most ? 'new ones are dropped' : 'when it is full, new ones are dropped'}`
  const remedy = `sysctl -w net.netfilter.nf_conntrack_max=${most * 2}, and in /etc/sysctl.d; "conntrack -S" counts the drops`
  return [fault(used >= most ? 'KN0063' : 'KN0064', { says, remedy })]
}

export const interfaceChecks: readonly Check[] = [forwardingOfOne, ipv6, conntrack]
