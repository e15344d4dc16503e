/**
 * Port mappings with iptables, rule for rule as the reference has them, in the table nat:
 *
 *   -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT             OUTPUT likewise
 *   -I POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
 *   -A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
 *   -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
 *   -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: …" -m multiport --dports 8080 -j CNI-DN-…
 *   -A CNI-DN-… -s 10.1.2.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK     hairpin
 *   -A CNI-DN-… -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK    localhost
 *   -A CNI-DN-… -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80
 *
 * The chain of another interface of the container on the same network has a name that the reference does not have:
 * `dnatChains` makes both.
 *
 * And, ours alone, the guard of 127.0.0.0/8 (`localnet.ts`).
 */
import { dnatChains, hostportChains, hostportComment } from '../../../attachment/iptables-names'
import { type Family, formatAddr, widthOf } from '../../../ip/addr'
import { type Cidr, formatCidr, networkOf } from '../../../ip/cidr'
import { commentMatch, iptablesSave, isUnlistable, rulesNotFound } from '../../iptables'
import type { ChainRule } from '../localnet'
import {
  type HostPorts,
  type InstalledRules,
  type MissingRule,
  mappingsOf,
  type PortMapping,
  protocols,
} from './hostports'

// xt_multiport.h: XT_MULTI_PORTS.
const portsPerRule = 15

export const addLine = ({ chain, rule, first }: ChainRule): string =>
  `${first ? '-I' : '-A'} ${chain} ${rule}`

export const checkLine = ({ chain, rule }: ChainRule): string => `-C ${chain} ${rule}`

/** One word of a user's condition, quoted for iptables-restore, whose quotes a backslash escapes. */
const quoted = (word: string): string => `"${word.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

/** The rules all containers share in the table nat, with the chains they need. */
export const sharedNatRules = (conf: HostPorts): { chains: string[]; rules: ChainRule[] } => {
  const { dnat, setMark, masquerade } = hostportChains
  const local = `-m addrtype --dst-type LOCAL -j ${dnat}`
  const rules: ChainRule[] = [
    { chain: 'PREROUTING', rule: local },
    { chain: 'OUTPUT', rule: local },
  ]
  if (!conf.snat || conf.externalSetMarkChain !== undefined) return { chains: [dnat], rules }
  // Without a sign: bit 31 is a bit like the others.
  const mark = `0x${(2 ** conf.markBit).toString(16)}`
  rules.push(
    {
      chain: setMark,
      rule: `${commentMatch('CNI portfwd masquerade mark')} -j MARK --set-xmark ${mark}/${mark}`,
    },
    { chain: masquerade, rule: `-m mark --mark ${mark}/${mark} -j MASQUERADE` },
    {
      chain: 'POSTROUTING',
      rule: `${commentMatch('CNI portfwd requiring masquerade')} -j ${masquerade}`,
      // Behind the rules of the bridge plugin it would never be reached.
      first: true,
    },
  )
  return { chains: [dnat, setMark, masquerade], rules }
}

/** A rule as -A, -C and -D take it. */
export const textOfRule = ({ chain, rule }: ChainRule): string => `${chain} ${rule}`

const entryRules = (conf: HostPorts, family: Family, chain: string): ChainRule[] => {
  const comment = commentMatch(hostportComment(conf.network, conf.containerID))
  const conditions = conf.conditions[family].map(word => ` ${quoted(word)}`).join('')
  const rules: ChainRule[] = []
  // All ports, also those whose host address is of the other family, as in the reference; in its order too.
  for (const protocol of [...protocols].sort()) {
    const ports = conf.mappings
      .filter(mapping => mapping.protocol === protocol)
      .map(({ hostPort }) => hostPort)
    for (let from = 0; from < ports.length; from += portsPerRule) {
      const some = ports.slice(from, from + portsPerRule).join(',')
      const match = `-p ${protocol} ${comment} -m multiport --dports ${some}${conditions}`
      rules.push({ chain: hostportChains.dnat, rule: `${match} -j ${chain}` })
    }
  }
  return rules
}

const destinationOf = ({ addr }: Cidr, { containerPort }: PortMapping): string =>
  addr.family === 4 ? `${formatAddr(addr)}:${containerPort}` : `[${formatAddr(addr)}]:${containerPort}`

const mappingRules = (conf: HostPorts, address: Cidr, mapping: PortMapping, chain: string): ChainRule[] => {
  const { family } = address.addr
  const { protocol, hostPort, hostIP } = mapping
  const setMark = conf.externalSetMarkChain ?? hostportChains.setMark
  const ports = `-p ${protocol} -m ${protocol} --dport ${hostPort}`
  const to = hostIP ? `-d ${formatAddr(hostIP)}/${widthOf(family)} ` : ''
  const marked = (source: string): ChainRule => ({ chain, rule: `${source}${to}${ports} -j ${setMark}` })
  const rules: ChainRule[] = []
  if (conf.snat) {
    rules.push(marked(conf.masqAll ? '' : `-s ${formatCidr(networkOf(address))} `))
    if (family === 4 && !conf.masqAll) rules.push(marked('-s 127.0.0.1/32 '))
  }
  rules.push({ chain, rule: `${to}${ports} -j DNAT --to-destination ${destinationOf(address, mapping)}` })
  return rules
}

/** The rules of one container for one of its addresses: those of its own chain, and those that lead there. */
export const containerRules = (
  conf: HostPorts,
  address: Cidr,
  chain: string = dnatChains(conf)[0],
): { chain: string; rules: ChainRule[]; entries: ChainRule[] } => {
  const { family } = address.addr
  return {
    chain,
    rules: mappingsOf(conf, family).flatMap(mapping => mappingRules(conf, address, mapping, chain)),
    entries: entryRules(conf, family, chain),
  }
}

/** The part of the rules in the record: those in shared chains that lead to the container's own, and one of its own. */
export const installedRules = (
  conf: HostPorts,
  chainOfFamily: { readonly [family in Family]?: string } = {},
): InstalledRules => {
  const jumps: { [family in Family]?: string[] } = {}
  const marks: { [family in Family]?: string } = {}
  for (const address of conf.addresses) {
    const { family } = address.addr
    const { rules, entries } = containerRules(conf, address, chainOfFamily[family])
    jumps[family] = entries.map(textOfRule)
    const mark = rules.map(textOfRule).find(leadsOn)
    if (mark) marks[family] = mark
  }
  return { backend: 'iptables', jumps, marks }
}

const leadsOn = (rule: string): boolean => rule.includes(' -j DNAT ')

/** The part of a rule to a container that iptables-save prints unchanged among a user's conditions. */
const ownWords = (rule: string): string[] =>
  rule.match(/-p \w+(?= )|-m multiport --dports [\d,]+(?= )|-j \S+$/g) ?? []

/**
 * The rules of a container and those it shares that are not among `found`, as iptables-save prints them. Of conditions
 * it is not seen whether they are still the same: they are printed in iptables' own words.
 */
const missingRules = (
  found: readonly string[],
  conf: HostPorts,
  address: Cidr,
  chain: string = dnatChains(conf)[0],
): ChainRule[] => {
  const { rules, entries } = containerRules(conf, address, chain)
  const listed = new Set(found)
  const isListed = ({ chain, rule }: ChainRule): boolean => listed.has(`-A ${chain} ${rule}`)
  const isEntry = ({ chain, rule }: ChainRule): boolean =>
    found.some(
      line =>
        line.startsWith(`-A ${chain} `) && ownWords(rule).every(words => `${line} `.includes(`${words} `)),
    )
  return [
    ...[...sharedNatRules(conf).rules, ...rules].filter(rule => !isListed(rule)),
    ...entries.filter(rule => !(conf.conditions[address.addr.family].length > 0 ? isEntry : isListed)(rule)),
  ]
}

const destination = /^-A (\S+) .*-j DNAT --to-destination (?:\[([^\]]+)\]|([^:\s]+))/

/** The addresses that the rules of a chain lead to, as iptables-save prints them. */
export const destinationsOf = (rules: readonly string[], chain: string): string[] => {
  const found = rules.flatMap(rule => {
    const [, at, v6, v4] = destination.exec(rule) ?? []
    return at === chain ? (v6 ?? v4 ?? []) : []
  })
  return [...new Set(found)]
}

/**
 * The rules of a container for one of its addresses that are not there, and those it shares. Where the table cannot be
 * listed, each is asked for by itself.
 */
const missingOf = async (conf: HostPorts, address: Cidr): Promise<readonly ChainRule[]> => {
  const { family } = address.addr
  const [shared, own] = dnatChains(conf)
  try {
    const { chains, rules } = await iptablesSave(family, 'nat')
    return missingRules(rules, conf, address, chains.has(own) ? own : shared)
  } catch (error) {
    if (!isUnlistable(error)) throw error
  }
  const missingIn = async (chain: string): Promise<ChainRule[]> => {
    const { rules, entries } = containerRules(conf, address, chain)
    const wanted = [...sharedNatRules(conf).rules, ...rules, ...entries]
    const missing = new Set(await rulesNotFound(family, 'nat', wanted.map(textOfRule)))
    return wanted.filter(rule => missing.has(textOfRule(rule)))
  }
  const missing = await missingIn(shared)
  return missing.length > 0 && (await missingIn(own)).length === 0 ? [] : missing
}

/** The rules of the container that are not there, and those it shares. */
export const missing = async (conf: HostPorts): Promise<MissingRule[]> => {
  const lost: MissingRule[] = []
  for (const address of conf.addresses) {
    for (const { chain, rule } of await missingOf(conf, address)) {
      lost.push({
        message: `a port mapping's rule is missing in the IPv${address.addr.family} table nat: ${chain} ${rule}`,
        details: 'another program removed it: "kubenet sync" makes it again',
      })
    }
  }
  return lost
}
