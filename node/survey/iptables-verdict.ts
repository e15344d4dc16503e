/** The verdict of iptables' filter rules on a packet, as far as their matches are understood. */
import { parseAddr } from '../../src/ip/addr'
import { cidrContains, parseCidr } from '../../src/ip/cidr'
import type { IptablesTable } from './iptables'

/** A packet on its way between two interfaces. */
export type Packet = {
  readonly in: string
  readonly out: string
  readonly src: string
  readonly dst: string
  /** "ESTABLISHED" for an answer. */
  readonly ctstate: 'NEW' | 'ESTABLISHED'
}

/** "maybe": rules that are not understood may accept it. `by` is the rule, or the policy, that decides. */
export type Verdict = { readonly verdict: 'accept' | 'drop' | 'maybe'; readonly by: string }

type Match = 'yes' | 'no' | 'maybe'

const matchesName = (pattern: string, name: string): boolean =>
  pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : pattern === name

const matchesAddress = (text: string, address: string): boolean => {
  const cidr = parseCidr(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`)
  const addr = parseAddr(address)
  return cidr !== undefined && addr !== undefined && cidrContains(cidr, addr)
}

/** The matches that are understood, by their options; each takes one word. */
const known: Record<string, (word: string, packet: Packet) => Match> = {
  '-i': (word, packet) => (matchesName(word, packet.in) ? 'yes' : 'no'),
  '-o': (word, packet) => (matchesName(word, packet.out) ? 'yes' : 'no'),
  '-s': (word, { src }) => (matchesAddress(word, src) ? 'yes' : 'no'),
  '-d': (word, { dst }) => (matchesAddress(word, dst) ? 'yes' : 'no'),
  '--ctstate': (word, { ctstate }) => (word.split(',').includes(ctstate) ? 'yes' : 'no'),
  '--state': (word, { ctstate }) => (word.split(',').includes(ctstate) ? 'yes' : 'no'),
  // Packets from a container have no mark.
  '--mark': word => (/^0x0(\/|$)/.test(word) ? 'yes' : 'no'),
  '-m': () => 'yes',
  '--comment': () => 'yes',
  // Some packets are of that protocol, and some are not.
  '-p': () => 'maybe',
}

const negated: Record<Match, Match> = { yes: 'no', no: 'yes', maybe: 'maybe' }

/** The words of a rule; what is in quotes is one. */
const wordsOf = (rule: string): string[] =>
  [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')

type Rule = { readonly match: Match; readonly target: string }

/** Words behind a target belong to it: "-j REJECT --reject-with …". */
const readRule = (line: string, packet: Packet): Rule => {
  const words = wordsOf(line).slice(2)
  let match: Match = 'yes'
  for (let i = 0; i < words.length; i++) {
    const isNegated = words[i] === '!'
    if (isNegated) i++
    const option = words[i] ?? ''
    if (option === '-j' || option === '-g') return { match, target: words[i + 1] ?? '' }
    if (!option.startsWith('-')) continue
    const test = known[option]
    const found = test ? test(words[i + 1] ?? '', packet) : 'maybe'
    const answer = isNegated ? negated[found] : found
    if (answer === 'no' || match === 'no') match = 'no'
    else if (answer === 'maybe') match = 'maybe'
    if (test) i++
  }
  return { match, target: '' }
}

const ends: Record<string, 'accept' | 'drop'> = { ACCEPT: 'accept', DROP: 'drop', REJECT: 'drop' }

/** How deep chains are followed: the kernel has no more than so many either, and refuses loops. */
const maxDepth = 16

const walk = (table: IptablesTable, chain: string, packet: Packet, depth = 0): Verdict | undefined => {
  let possible: Verdict | undefined
  for (const line of table.rules.filter(rule => rule.startsWith(`-A ${chain} `))) {
    const { match, target } = readRule(line, packet)
    if (match === 'no' || target === '') continue
    if (target === 'RETURN') {
      if (match === 'yes') return possible
      continue
    }
    const end = ends[target]
    const isChain = end === undefined && table.policies.has(target) && depth < maxDepth
    const verdict = end
      ? { verdict: end, by: line }
      : isChain
        ? walk(table, target, packet, depth + 1)
        : undefined
    if (!verdict) continue
    if (match === 'yes' && verdict.verdict !== 'maybe') return possible ?? verdict
    if (verdict.verdict !== 'drop') possible ??= { verdict: 'maybe', by: verdict.by }
  }
  return possible
}

/** The verdict of the chain FORWARD of a filter table on a packet. */
export const forwardVerdict = (table: IptablesTable, packet: Packet): Verdict => {
  const policy = table.policies.get('FORWARD') ?? 'ACCEPT'
  const found = walk(table, 'FORWARD', packet)
  if (found && (found.verdict !== 'maybe' || policy !== 'ACCEPT')) return found
  return { verdict: policy === 'ACCEPT' ? 'accept' : 'drop', by: `-P FORWARD ${policy}` }
}
