/** Packet filters that work against each other, or against containers. */

import { iptablesVerdicts } from '../../node/packets/iptables-verdict'
import { NftFilters } from '../../node/packets/nft-filters'
import type { Packet, Verdict } from '../../node/packets/packet'
import { type Iptables, isListed } from '../../node/survey/iptables'
import type { Network } from '../../node/survey/networks'
import type { Survey } from '../../node/survey/survey'
import { findProgram } from '../../src/host/exec'
import { ifNftables } from '../../src/netfilter/nft/socket'
import { type Check, type Diagnosis, fault, notSeen, orOk } from './diagnosis'
import { type Way, waysOf } from './ways'

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

/** A verdict, and the command that lets the packet pass. */
type Judged = Verdict & { readonly remedy: string }

/** The program that sees the rules of that variant: the one called iptables may be the other's. */
const programOf = ({ family, variant }: Iptables): string => {
  const name = family === 4 ? 'iptables' : 'ip6tables'
  const own = `${name}-${variant === 'nf_tables' ? 'nft' : 'legacy'}`
  return findProgram(own) ? own : name
}

/** ufw keeps its rules itself, and takes those of others away when it is reloaded. */
const isUfw = ({ tables }: Iptables): boolean =>
  tables.get('filter')?.policies.has('ufw-before-forward') ?? false

/** The interface that a rule at the packet's hook may ask for, and the packet's source where only the uplink is left. */
const conditionsOf = ({ hook, in: from, out: to, src }: Packet, bridge: string): string => {
  const [option, name] = hook === 'output' || hook === 'postrouting' ? ['-o', to] : ['-i', from]
  if (hook === 'forward' && to === bridge) return `-o ${bridge}`
  const named = name ? `${option} ${name}` : ''
  return hook === 'postrouting' && to !== bridge && src ? `${named} -s ${src}`.trim() : named
}

/**
 * Lets the packets of this hop pass, and no others: a rule is put before those that are there. No rule is deleted and no
 * policy opened, as what keeps containers' packets may be what keeps the world's out, or lets root in.
 */
const iptablesRemedy = (entry: Iptables, table: string, bridge: string, packet: Packet): string => {
  const program = programOf(entry)
  const isForward = table === 'filter' && packet.hook === 'forward'
  if (isForward && isUfw(entry)) return `ufw route allow in on ${bridge}; ufw route allow out on ${bridge}`
  if (isForward)
    return `${program} -I FORWARD -i ${bridge} -j ACCEPT and ${program} -I FORWARD -o ${bridge} -j ACCEPT, where the firewall keeps them`
  const conditions = conditionsOf(packet, bridge)
  const isReply = packet.ctstate === 'ESTABLISHED'
  // Connections are not known yet there: a rule would let all that comes from outside pass.
  if (table === 'raw' && isReply && !conditions.endsWith(` ${bridge}`))
    return 'let them pass before that rule of the table raw, where the firewall keeps it'
  const state = isReply && table !== 'raw' ? '-m conntrack --ctstate RELATED,ESTABLISHED' : ''
  const place = `${table === 'filter' ? '' : `-t ${table} `}-I ${packet.hook.toUpperCase()}`
  const words = [program, place, conditions, state, '-j ACCEPT'].filter(word => word !== '')
  return `${words.join(' ')}, where the firewall keeps its rules`
}

const firewalldRemedy = (bridge: string): string =>
  `firewall-cmd --permanent --zone=trusted --add-interface=${bridge} && firewall-cmd --reload`

const nftRemedy = (table: string, chain: string, named: string, bridge: string): string =>
  table.endsWith(' firewalld')
    ? firewalldRemedy(bridge)
    : `nft 'insert rule ${table} ${chain} ${named} accept', and where the firewall keeps its rules`

/** All verdicts on the packets of a way, those that drop them first. */
const judge = (
  { hops }: Way,
  bridge: string,
  { iptables = [] }: Survey['readings'],
  nft: NftFilters | undefined,
): Judged | undefined => {
  const found = hops.flatMap(({ packet, named }): Judged[] => [
    ...iptables.flatMap(entry =>
      iptablesVerdicts(entry, packet).map(({ table, ...verdict }) => ({
        ...verdict,
        remedy: iptablesRemedy(entry, table, bridge, packet),
      })),
    ),
    ...(nft?.verdicts(packet) ?? []).map(({ table, chain, ...verdict }) => ({
      ...verdict,
      remedy: nftRemedy(table, chain, named, bridge),
    })),
  ])
  return found.find(({ verdict }) => verdict === 'drop') ?? found.find(({ verdict }) => verdict === 'maybe')
}

const lineOf = (words: string, bridge: string, { verdict, by, remedy }: Judged): Diagnosis =>
  verdict === 'drop'
    ? fault('KN0013', { says: `${words} on "${bridge}" are dropped: ${by}`, remedy })
    : fault('KN0014', {
        says: `${words} on "${bridge}" may be dropped; only a rule with conditions accepts them: ${by}`,
        remedy,
      })

const protocols: readonly Packet['protocol'][] = ['tcp', 'udp']

/** The lines of one family: of both protocols at once where they come to the same. */
const linesOf = (network: Network, family: 4 | 6, survey: Survey, nft: NftFilters | undefined) => {
  const { bridge = '' } = network
  const [tcp = [], udp = []] = protocols.map(protocol =>
    waysOf(network, { family, protocol }, survey).map(way => ({
      words: way.words,
      judged: judge(way, bridge, survey.readings, nft),
    })),
  )
  return tcp.flatMap(({ words, judged }, at): Diagnosis[] => {
    const other = udp[at]?.judged
    if (judged?.by === other?.by) return judged ? [lineOf(words, bridge, judged)] : []
    return [
      ...(judged ? [lineOf(`TCP ${words}`, bridge, judged)] : []),
      ...(other ? [lineOf(`UDP ${words}`, bridge, other)] : []),
    ]
  })
}

const forward: Check = ({ survey }) => {
  const { networks, iptables, ruleset, links } = survey.readings
  if (!iptables || !ruleset) return [notSeen('forward filter', 'rules may not be read')]
  const bridged = networks.filter(({ bridge, isGateway }) => bridge !== undefined && isGateway)
  const listed = new Set(
    iptables
      .filter(({ variant }) => variant === 'nf_tables')
      .flatMap(({ family, tables }) =>
        [...tables.keys()].map(name => `${family === 4 ? 'ip' : 'ip6'} ${name}`),
      ),
  )
  const indexes = new Map(links.map(({ name, index }) => [name, index]))
  const examine = (nft: NftFilters | undefined): Diagnosis[] =>
    bridged.flatMap(network => ([4, 6] as const).flatMap(family => linesOf(network, family, survey, nft)))
  const lines =
    ifNftables(nl =>
      examine(
        new NftFilters(nl, { indexOf: name => indexes.get(name), isKnown: table => listed.has(table) }),
      ),
    ) ?? examine(undefined)
  if (lines.length === 0 && bridged.length > 0 && !isListed(iptables, 'filter'))
    return [notSeen('forward filter', 'the table filter could not be read', 'see the lines of "survey"')]
  return orOk(
    // Networks may share a bridge, and both families a rule.
    [...new Map(lines.map(line => [line.says, line])).values()],
    'forward filter',
    bridged.length > 0 ? 'packets from containers and their replies may pass' : 'no network needs it',
  )
}

export const filterChecks: readonly Check[] = [variants, forward]
