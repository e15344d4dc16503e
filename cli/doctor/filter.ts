/** Packet filters that work against each other, or against containers. */

import { mayAccept } from '../../node/survey/forward-chains'
import { type Iptables, isListed } from '../../node/survey/iptables'
import { forwardVerdict, type Packet, type Verdict } from '../../node/survey/iptables-verdict'
import type { Network } from '../../node/survey/networks'
import type { Survey } from '../../node/survey/survey'
import { formatAddr } from '../../src/ip/addr'
import { firstHost, formatCidr } from '../../src/ip/cidr'
import { type Check, type Diagnosis, fault, notSeen, orOk } from './diagnosis'

const hasRules = ({ tables }: Iptables): boolean => [...tables.values()].some(({ rules }) => rules.length > 0)

const variants: Check = ({ survey }) => {
  const { iptables } = survey.readings
  if (!iptables) return [notSeen('iptables', 'its rules may not be read')]
  const used = iptables.filter(hasRules)
  const mixed = ([4, 6] as const).filter(family =>
    ['legacy', 'nf_tables'].every(variant =>
      used.some(entry => entry.family === family && entry.variant === variant),
    ),
  )
  const names = [...new Set(used.map(({ variant }) => variant))].join(' and ')
  return orOk(
    mixed.map(family =>
      fault('KN0012', {
        says: `both variants of ${family === 4 ? 'iptables' : 'ip6tables'} have rules, legacy and nf_tables: neither sees the other's rules`,
        remedy:
          'use one variant: "update-alternatives --config iptables", then empty the other by its own ' +
          '"iptables-legacy -F" or "iptables-nft -F", or restart the node',
      }),
    ),
    'iptables',
    used.length > 0 ? `only the variant ${names} has rules` : 'there are no rules of iptables',
  )
}

/** Documentation's address (RFC 5737, RFC 3849): somewhere outside. */
const elsewhere = { 4: '203.0.113.1', 6: '2001:db8::1' } as const

type Way = { readonly words: string; readonly packet: Packet }

/** A first packet out of a container, and the answer to it. */
const waysOf = ({ bridge = '', ipam }: Network, family: 4 | 6, { readings }: Survey): Way[] => {
  const range = ipam?.rangeSets.find(({ ranges }) => ranges[0].start.family === family)?.ranges[0]
  const route = readings.routes.find(({ dst }) => dst.prefix === 0 && dst.addr.family === family)
  const uplink = readings.links.find(({ index }) => index === route?.index)?.name
  if (!range || uplink === undefined) return []
  const src = formatAddr(firstHost(range.subnet))
  const dst = elsewhere[family]
  return [
    { words: 'packets from containers', packet: { in: bridge, out: uplink, src, dst, ctstate: 'NEW' } },
    {
      words: 'replies to containers',
      packet: { in: uplink, out: bridge, src: dst, dst: src, ctstate: 'ESTABLISHED' },
    },
  ]
}

const remedyFor = (bridge: string): string =>
  `iptables -I FORWARD -i ${bridge} -j ACCEPT and iptables -I FORWARD -o ${bridge} -j ACCEPT, where the firewall keeps them`

const judgeWay = ({ words }: Way, { verdict, by }: Verdict, bridge: string): Diagnosis[] => {
  const remedy = remedyFor(bridge)
  if (verdict === 'drop')
    return [
      fault('KN0013', {
        says: `${words} on "${bridge}" are dropped: ${by}`.replace('send on', 'send by'),
        remedy,
      }),
    ]
  if (verdict === 'maybe') {
    const says = `${words} on "${bridge}" may be dropped; only a rule with conditions accepts them: ${by}`
    return [fault('KN0014', { says, remedy })]
  }
  return []
}

const iptablesForward = (network: Network, survey: Survey): Diagnosis[] =>
  (survey.readings.iptables ?? []).flatMap(({ family, tables }) => {
    const filter = tables.get('filter')
    if (!filter) return []
    return waysOf(network, family, survey).flatMap(way =>
      judgeWay(way, forwardVerdict(filter, way.packet), network.bridge ?? ''),
    )
  })

const nftForward = (network: Network, survey: Survey): Diagnosis[] => {
  const { bridge = '', ipam } = network
  const subnet = ipam?.rangeSets[0]?.ranges[0].subnet
  return survey.readings.droppingChains
    .filter(chain => !mayAccept(chain, bridge, subnet && formatCidr(subnet)))
    .map(({ table, chain }) =>
      fault('KN0013', {
        says: `packets from containers on "${bridge}" are dropped: chain ${chain} of table ${table} has policy drop and no rule for them`,
        remedy: `nft add rule ${table} ${chain} iifname ${bridge} accept, and the same with oifname`,
      }),
    )
}

const forward: Check = ({ survey }) => {
  const { networks, iptables, ruleset } = survey.readings
  if (!iptables || !ruleset) return [notSeen('forward filter', 'rules may not be read')]
  const seen = new Set<string>()
  const bridged = networks.filter(({ bridge, isGateway }) => bridge !== undefined && isGateway)
  const lines = bridged.flatMap(network => [
    ...iptablesForward(network, survey),
    ...nftForward(network, survey),
  ])
  if (lines.length === 0 && bridged.length > 0 && !isListed(iptables, 'filter'))
    return [notSeen('forward filter', 'the table filter could not be read', 'see the lines of "survey"')]
  return orOk(
    // Networks may share a bridge.
    lines.filter(({ says }) => !seen.has(says) && seen.add(says)),
    'forward filter',
    bridged.length > 0 ? 'packets from containers and their replies may pass' : 'no network needs it',
  )
}

export const filterChecks: readonly Check[] = [variants, forward]
