/** The verdict of iptables' rules on a packet, as far as their matches are understood. */
import { parseAddr } from '../../src/ip/addr'
import { cidrContains, parseCidr } from '../../src/ip/cidr'
import type { Iptables, IptablesTable } from '../survey/iptables'
import { type Hook, type JudgedRule, judgeChain, type Match, type Packet, type Verdict } from './packet'

const matchesName = (pattern: string, name: string): boolean =>
  pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name

const matchesAddress = (text: string, address: string): boolean => {
  const cidr = parseCidr(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`)
  const addr = parseAddr(address)
  return cidr !== undefined && addr !== undefined && cidrContains(cidr, addr)
}

const yesIf = (holds: boolean): Match => (holds ? 'yes' : 'no')

/** Does a fact of the packet fit a rule's word? */
const fits = (
  fact: string | undefined,
  word: string,
  matches: (word: string, fact: string) => boolean,
): Match => (fact === undefined ? 'maybe' : yesIf(matches(word, fact)))

const inState = (word: string, { ctstate }: Packet): Match => yesIf(word.split(',').includes(ctstate))

/** The matches that are understood, by their options; each takes one word. */
const known: Record<string, (word: string, packet: Packet) => Match> = {
  '-i': (word, packet) => fits(packet.in, word, matchesName),
  '-o': (word, packet) => fits(packet.out, word, matchesName),
  '-s': (word, { src }) => fits(src, word, matchesAddress),
  '-d': (word, { dst }) => fits(dst, word, matchesAddress),
  '--ctstate': inState,
  '--state': inState,
  // Packets from a container come without one.
  '--mark': (word, { mark }) => (mark.isZero ? yesIf(/^0x0(\/|$)/.test(word)) : 'maybe'),
  '-m': () => 'yes',
  '--comment': () => 'yes',
  '-p': (word, { protocol }) => yesIf(word === 'all' || word === protocol),
}

const negated: Record<Match, Match> = { yes: 'no', no: 'yes', maybe: 'maybe' }

/** The words of a rule; what is in quotes is one. */
const wordsOf = (rule: string): string[] =>
  [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')

const ends: Record<string, 'accept' | 'drop' | 'return'> = {
  ACCEPT: 'accept',
  DROP: 'drop',
  REJECT: 'drop',
  RETURN: 'return',
}

/** Targets that set the mark of a packet, or may set it. */
const marking = ['MARK', 'CONNMARK', 'TPROXY']

/** Targets that leave the verdict to a program. */
const queueing = ['NFQUEUE', 'QUEUE']

const actionOf = (option: string, target: string, { policies }: IptablesTable): JudgedRule['action'] => {
  const end = ends[target]
  if (end) return { do: end }
  return policies.has(target) ? { do: option === '-g' ? 'goto' : 'jump', chain: target } : undefined
}

/** Words behind a target belong to it: "-j REJECT --reject-with …". A rule that may set the packet's mark does so. */
const judgeRule = (line: string, packet: Packet, table: IptablesTable): JudgedRule => {
  const words = wordsOf(line).slice(2)
  let match: Match = 'yes'
  let module = ''
  for (let i = 0; i < words.length; i++) {
    const isNegated = words[i] === '!'
    if (isNegated) i++
    const option = words[i] ?? ''
    const word = words[i + 1] ?? ''
    if (option === '-j' || option === '-g') {
      if (match === 'no') return { match, action: undefined, by: line }
      if (marking.includes(word)) packet.mark.isZero = false
      if (queueing.includes(word)) return { match: 'maybe', action: { do: 'accept' }, by: line }
      return { match, action: actionOf(option, word, table), by: line }
    }
    if (!option.startsWith('-')) continue
    if (option === '-m') module = word
    // The mark of a connection is another one, of which nothing is known.
    const test = option === '--mark' && module !== 'mark' ? undefined : known[option]
    const found = test ? test(word, packet) : 'maybe'
    const answer = isNegated ? negated[found] : found
    if (answer === 'no' || match === 'no') match = 'no'
    else if (answer === 'maybe') match = 'maybe'
    if (test) i++
  }
  return { match, action: undefined, by: line }
}

/** The tables whose chains a packet passes at a hook, in this order, except the table that translates addresses. */
const tablesAt: Record<Hook, readonly string[]> = {
  prerouting: ['raw', 'mangle'],
  input: ['mangle', 'filter', 'security'],
  forward: ['mangle', 'filter', 'security'],
  output: ['raw', 'mangle', 'filter', 'security'],
  postrouting: ['mangle'],
}

const inTable = (table: IptablesTable, packet: Packet): Verdict => {
  const chain = packet.hook.toUpperCase()
  const policy = table.policies.get(chain) ?? 'ACCEPT'
  const rulesOf = function* (name: string): Generator<JudgedRule> {
    for (const rule of table.rules) if (rule.startsWith(`-A ${name} `)) yield judgeRule(rule, packet, table)
  }
  return judgeChain(rulesOf, chain, {
    verdict: policy === 'ACCEPT' ? 'accept' : 'drop',
    by: `-P ${chain} ${policy}`,
  })
}

/** The verdict of a chain, and the table it is in. */
type IptablesVerdict = Verdict & { readonly table: string }

/** The verdicts of one variant's tables on a packet, at the hook it is at. */
export const iptablesVerdicts = ({ family, tables }: Iptables, packet: Packet): IptablesVerdict[] =>
  family === packet.family && packet.frame === undefined
    ? tablesAt[packet.hook].flatMap(name => {
        const table = tables.get(name)
        return table ? [{ ...inTable(table, packet), table: name }] : []
      })
    : []
