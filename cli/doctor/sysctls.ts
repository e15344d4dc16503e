/** Sysctls without which containers have no network, or others have too much of it. */
import { isListed } from '../../node/survey/iptables'
import type { Network } from '../../node/survey/networks'
import type { Survey } from '../../node/survey/survey'
import { dottedKey, keepAdvertised } from '../../node/sysctls'
import { forwardingKey } from '../../plugins/bridge/sysctls'
import { readSysctl } from '../../src/host/sysctl'
import { type Family, formatAddr } from '../../src/ip/addr'
import { cidrContains, firstHost, networkOf, parseCidr } from '../../src/ip/cidr'
import { RTPROT_RA } from '../../src/netlink/route'
import { type Check, type Diagnosis, fault, notSeen, ok, orOk } from './diagnosis'

const families: readonly Family[] = [4, 6]

/** The families that networks give addresses of. */
const familiesOf = (networks: readonly Network[]): Family[] =>
  families.filter(family =>
    networks.some(({ ipam }) => ipam?.rangeSets.some(({ ranges }) => ranges[0].start.family === family)),
  )

const setting = (key: string, value: string) => ({
  remedy: `sysctl -w ${dottedKey(key)}=${value}, and in /etc/sysctl.d so that it stays`,
  repair: { do: 'set-sysctl', key, value } as const,
})

const forwarding: Check = ({ survey }) => {
  const routing = survey.readings.networks.filter(({ isGateway }) => isGateway)
  const needed = familiesOf(routing)
  const off = needed.filter(family => readSysctl(forwardingKey[family]) !== '1')
  return orOk(
    off.map(family =>
      fault('KN0006', {
        says: `the host does not forward IPv${family}: containers reach only each other`,
        ...setting(forwardingKey[family], '1'),
      }),
    ),
    'forwarding',
    needed.length > 0
      ? `the host forwards ${needed.map(family => `IPv${family}`).join(' and ')}`
      : 'no network needs it',
  )
}

/** The interfaces that have routes of IPv6 router advertisements. */
const advertised = ({ readings }: Survey): string[] => {
  const indexes = new Set(
    readings.routes.filter(({ protocol }) => protocol === RTPROT_RA).map(({ index }) => index),
  )
  return readings.links.filter(({ index }) => indexes.has(index)).map(({ name }) => name)
}

const advertisements: Check = ({ survey }) => {
  const names = advertised(survey)
  const isForwarding = readSysctl(forwardingKey[6]) === '1'
  return orOk(
    (isForwarding ? names : []).flatMap(name => {
      const wanted = keepAdvertised(name)
      if (!wanted) return []
      const says = `"${name}" has its IPv6 routes from router advertisements, which a forwarding host ignores`
      return [fault('KN0007', { says, ...setting(wanted.key, wanted.value) })]
    }),
    'accept_ra',
    names.length > 0
      ? `advertised routes of ${names.join(', ')} are kept`
      : 'no route is from a router advertisement',
  )
}

/** The larger of the two counts: Documentation/networking/ip-sysctl.rst. */
const isStrict = (name: string): boolean =>
  Math.max(...['all', name].map(conf => Number(readSysctl(`net/ipv4/conf/${conf}/rp_filter`) ?? 0))) === 1

const gateways = ({ ipam }: Network): string[] =>
  (ipam?.rangeSets ?? [])
    .map(({ ranges }) => ranges[0])
    .filter(({ start }) => start.family === 4)
    .map(({ subnet }) => formatAddr(firstHost(subnet)))

/** The interface by which packets to an address would leave, by the longest prefix. */
const interfaceTo = ({ readings }: Survey, address: string): string | undefined => {
  const parsed = parseCidr(`${address}/32`)
  if (!parsed) return undefined
  const [route] = readings.routes
    .filter(({ dst }) => cidrContains(networkOf(dst), parsed.addr))
    .sort((a, b) => b.dst.prefix - a.dst.prefix)
  return readings.links.find(({ index }) => index === route?.index)?.name
}

const reversePath: Check = ({ survey }) => {
  const { networks, links, routes } = survey.readings
  const bridges = networks.filter(({ bridge }) => links.some(({ name }) => name === bridge))
  const lines: Diagnosis[] = bridges.flatMap(network => {
    const { bridge = '' } = network
    const astray = gateways(network).filter(address => interfaceTo(survey, address) !== bridge)
    if (!isStrict(bridge) || astray.length === 0) return []
    const says = `"${bridge}" drops what its containers send: rp_filter is strict, and the route back to them uses another interface`
    return [fault('KN0008', { says, ...setting(`net/ipv4/conf/${bridge}/rp_filter`, '2') })]
  })
  const defaults = new Set(
    routes.filter(({ dst }) => dst.prefix === 0 && dst.addr.family === 4).map(({ index }) => index),
  )
  const uplinks = links.filter(({ index, name }) => defaults.has(index) && isStrict(name))
  if (defaults.size > 1) {
    for (const { name } of uplinks) {
      const says = `"${name}" has one of several default routes and drops replies to packets that left by another`
      lines.push(fault('KN0009', { says, remedy: setting(`net/ipv4/conf/${name}/rp_filter`, '2').remedy }))
    }
  }
  return orOk(lines, 'rp_filter', 'rp_filter drops no reply to a container')
}

const bridgeKeys = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables'] as const

/**
 * Has the node kube-proxy's chains? Services are made by rules that bridged packets must pass. Undefined where none
 * was seen and not all rules could be read.
 */
const hasServices = ({ readings: { iptables, ruleset } }: Survey): boolean | undefined => {
  const chains = (iptables ?? []).some(({ tables }) => tables.get('nat')?.policies.has('KUBE-SERVICES'))
  if (chains || (ruleset?.tables ?? []).some(name => /^ip6? kube-proxy$/.test(name))) return true
  return ruleset && isListed(iptables, 'nat') ? false : undefined
}

const unreadRules = 'not all rules of the node could be read'
const unreadRemedy = 'see the lines of "survey"'

const bridgeNetfilter: Check = ({ survey }) => {
  const isNeeded = hasServices(survey)
  const values = bridgeKeys.map(key => ({ key, value: readSysctl(key) }))
  const missing = values.filter(({ value }) => value === undefined)
  const off = values.filter(({ value }) => value !== '1')
  if (isNeeded === undefined && off.length > 0)
    return [notSeen('br_netfilter', `services of Kubernetes need it, and ${unreadRules}`, unreadRemedy)]
  if (missing.length > 0) {
    if (!isNeeded) return [ok('br_netfilter', 'it is not loaded; only services of Kubernetes need it')]
    const says = 'br_netfilter is not loaded: services that lead to a container on the same node do not work'
    return [fault('KN0010', { says, remedy: 'modprobe br_netfilter, or "kubenet init"' })]
  }
  return orOk(
    isNeeded
      ? off.map(({ key, value }) =>
          fault('KN0010', {
            says: `${dottedKey(key)} is ${value}: services that lead to a container on the same node do not work`,
            ...setting(key, '1'),
          }),
        )
      : [],
    'br_netfilter',
    off.length > 0
      ? 'bridged packets do not pass iptables; only services of Kubernetes need that'
      : 'bridged packets pass iptables',
  )
}

/** Where rules keep neighbours from 127.0.0.0/8, one of which is enough. */
const hasGuard = ({ readings }: Survey): boolean => {
  const tables = readings.ruleset?.tables ?? []
  const chains = (readings.iptables ?? []).some(({ family, tables: found }) => {
    const rules = found.get('filter')?.rules ?? []
    return (
      family === 4 && rules.some(rule => rule.startsWith('-A INPUT') && rule.includes('CNI-HOSTPORT-LOCAL'))
    )
  })
  return chains || readings.framed.size > 0 || tables.includes('ip cni_hostport')
}

const localnet: Check = ({ survey }) => {
  const { links, networks, ruleset, iptables } = survey.readings
  const open = links.filter(
    ({ name }) =>
      networks.some(({ bridge }) => bridge === name) &&
      Math.max(
        ...['all', name].map(conf => Number(readSysctl(`net/ipv4/conf/${conf}/route_localnet`) ?? 0)),
      ) === 1,
  )
  if (open.length === 0)
    return [ok('route_localnet', 'no bridge lets containers reach 127.0.0.0/8 of the host')]
  if (!hasGuard(survey) && (!ruleset || !isListed(iptables, 'filter'))) {
    const names = open.map(({ name }) => name).join(', ')
    return [notSeen('route_localnet', `it is on for ${names}, and ${unreadRules}`, unreadRemedy)]
  }
  if (hasGuard(survey)) {
    return [
      ok(
        'route_localnet',
        `it is on for ${open.map(({ name }) => name).join(', ')}, and rules guard 127.0.0.0/8`,
      ),
    ]
  }
  return open.map(({ name }) =>
    fault('KN0011', {
      says: `containers on "${name}" reach programs that listen on 127.0.0.1 of the host: route_localnet is on, and no rule guards it`,
      remedy: `"kubenet sync" makes the rule again; without host ports: sysctl -w net.ipv4.conf.${name}.route_localnet=0`,
    }),
  )
}

export const sysctlChecks: readonly Check[] = [
  forwarding,
  advertisements,
  reversePath,
  bridgeNetfilter,
  localnet,
]
