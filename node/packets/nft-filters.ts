/** The chains of nftables that packets come to by themselves and that may drop them, read as they are asked for. */
import { chainsOf, entryList, ruleList } from '../../src/netfilter/nft/read'
import type { ReadExpression } from '../../src/netfilter/nft/wire/expression'
import type { NftFamily } from '../../src/netfilter/nft/wire/message'
import type { ReadEntry } from '../../src/netfilter/nft/wire/set'
import type { NftTable, ReadChain } from '../../src/netfilter/nft/wire/table'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { judgeRule, type NftSurroundings } from './nft-rule'
import { type JudgedRule, judgeChain, type Packet, type Verdict } from './packet'

/** The verdict of one chain, and the chain: for the command that lets packets pass it. */
type NftVerdict = Verdict & {
  /** "inet firewalld" */
  readonly table: string
  readonly chain: string
}

type ListedRule = { readonly handle: bigint; readonly steps: readonly ReadExpression[] }

/** Chains of other types translate addresses. */
const dropping = ['filter', 'route']

const remember = <T>(known: Map<string, T>, key: string, read: () => T): T => {
  const found = known.get(key) ?? read()
  known.set(key, found)
  return found
}

export class NftFilters {
  readonly #nl: NetlinkSocket
  readonly #indexOf: NftSurroundings['indexOf']
  readonly #isKnown: (table: string) => boolean
  readonly #chains = new Map<string, ReadChain[]>()
  readonly #rules = new Map<string, ListedRule[]>()
  readonly #entries = new Map<string, ReadEntry[]>()

  /** `isKnown`: tables that another program understands better, as iptables does its own. */
  constructor(
    nl: NetlinkSocket,
    { indexOf, isKnown }: Pick<NftSurroundings, 'indexOf'> & { isKnown: (table: string) => boolean },
  ) {
    this.#nl = nl
    this.#indexOf = indexOf
    this.#isKnown = isKnown
  }

  /** The verdicts of all chains that a packet passes at its hook. */
  verdicts(packet: Packet): NftVerdict[] {
    const own = packet.family === 4 ? 'ip' : 'ip6'
    const families: NftFamily[] = packet.frame === undefined ? [own, 'inet'] : ['bridge']
    return families.flatMap(family =>
      remember(this.#chains, family, () => chainsOf(this.#nl, family))
        .filter(({ type = '', hook }) => dropping.includes(type) && hook === packet.hook)
        .filter(({ table }) => !this.#isKnown(`${family} ${table}`))
        .map(chain => this.#verdict({ family, name: chain.table }, chain, packet)),
    )
  }

  #verdict(table: NftTable, { name, policy = 'accept' }: ReadChain, packet: Packet): NftVerdict {
    const place = `${table.family} ${table.name}`
    const surroundings: NftSurroundings = {
      indexOf: this.#indexOf,
      entriesOf: set => remember(this.#entries, `${place} ${set}`, () => entryList(this.#nl, table, set)),
    }
    const listed = (chain: string) => this.#rulesOf(table, chain)
    const rulesOf = function* (chain: string): Generator<JudgedRule> {
      for (const { handle, steps } of listed(chain)) {
        const by = `rule ${handle} in chain ${chain} of table ${place}`
        yield { ...judgeRule(steps, packet, surroundings), by }
      }
    }
    const byPolicy = `policy ${policy} of chain ${name} of table ${place}`
    const found = judgeChain(rulesOf, name, { verdict: policy, by: byPolicy })
    return { ...found, table: place, chain: name }
  }

  #rulesOf(table: NftTable, chain: string): ListedRule[] {
    return remember(this.#rules, `${table.family} ${table.name} ${chain}`, () =>
      ruleList(this.#nl, table, chain).map(({ handle, expressions }) => ({ handle, steps: expressions })),
    )
  }
}
