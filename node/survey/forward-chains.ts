/** Chains of nftables that packets between interfaces come to, and that drop what no rule of theirs accepts. */

import { addrBytes } from '../../src/ip/addr'
import { networkOf, parseCidr } from '../../src/ip/cidr'
import { chainList, ruleList } from '../../src/netfilter/nft/read'
import { readCmpValue } from '../../src/netfilter/nft/wire/match'
import type { NftFamily } from '../../src/netfilter/nft/wire/message'
import type { ReadRule } from '../../src/netfilter/nft/wire/rule'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { readText } from '../../src/netlink/wire/message'

/** One such chain: what its table's rules compare packets with, as far as that can be told. */
export type DroppingChain = {
  /** "inet firewalld" */
  readonly table: string
  readonly chain: string
  /** Names of interfaces, a prefix with "*" among them. */
  readonly interfaces: readonly string[]
  /** Bytes of addresses and networks, in hex. */
  readonly values: readonly string[]
  /** Has it rules that look something up in a set, or that compare with nothing? Those may accept anything. */
  readonly isOpaque: boolean
}

const families: readonly NftFamily[] = ['ip', 'ip6', 'inet']

const isText = (bytes: Buffer): boolean => /^[\x21-\x7e]+$/.test(readText(bytes))

const comparedIn = (rules: readonly ReadRule[]): Buffer[] =>
  rules.flatMap(({ expressions }) => expressions.map(readCmpValue).filter(value => value !== undefined))

const readChain = (
  nl: NetlinkSocket,
  table: { family: NftFamily; name: string },
  chain: string,
): DroppingChain => {
  const rules = ruleList(nl, table)
  const compared = comparedIn(rules)
  // A whole name has its NUL, the beginning of one ends before.
  const names = compared.filter(isText).map(bytes => `${readText(bytes)}${bytes.includes(0) ? '' : '*'}`)
  const own = rules.filter(rule => rule.chain === chain)
  return {
    table: `${table.family} ${table.name}`,
    chain,
    interfaces: names,
    values: compared.map(bytes => bytes.toString('hex')),
    isOpaque:
      rules.some(({ expressions }) => expressions.some(({ name }) => name === 'lookup')) ||
      own.some(
        ({ expressions }) => expressions.length > 0 && !expressions.some(({ name }) => name === 'cmp'),
      ),
  }
}

/** Reads those of all tables but the ones named, which another program understands. */
export const readDroppingChains = (nl: NetlinkSocket, tables: readonly string[]): DroppingChain[] =>
  families.flatMap(family =>
    tables
      .filter(name => name.startsWith(`${family} `))
      .map(name => ({ family, name: name.slice(family.length + 1) }))
      .flatMap(table =>
        chainList(nl, table)
          .filter(({ type, hook, policy }) => type === 'filter' && hook === 'forward' && policy === 'drop')
          .map(({ name }) => readChain(nl, table, name)),
      ),
  )

/** May the chain accept what comes from a bridge, or from its network? */
export const mayAccept = (chain: DroppingChain, bridge: string, cidr: string | undefined): boolean => {
  const names = chain.interfaces.some(name =>
    name.endsWith('*') ? bridge.startsWith(name.slice(0, -1)) : name === bridge,
  )
  const parsed = cidr === undefined ? undefined : parseCidr(cidr)
  const bytes = parsed && addrBytes(networkOf(parsed).addr).toString('hex')
  // A network whose prefix ends with a byte is compared without the rest.
  const isValue = chain.values.some(
    value => bytes !== undefined && value.length >= 2 && bytes.startsWith(value),
  )
  return names || isValue || chain.isOpaque
}
