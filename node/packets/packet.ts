/** A packet as packet filters see it at one of their hooks, and the verdict on it. */
import type { Family } from '../../src/ip/addr'

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'

/** A packet's mark goes with it from hook to hook. Not known any more: a rule has set it, or may have. */
export type Mark = { isZero: boolean }

/** "" stands for no interface, undefined for a fact that is not known: rules that ask for it match perhaps. */
export type Packet = {
  readonly hook: Hook
  readonly family: Family
  readonly protocol: 'tcp' | 'udp'
  readonly in: string | undefined
  readonly out: string | undefined
  readonly src: string | undefined
  readonly dst: string | undefined
  /** "ESTABLISHED" for an answer. */
  readonly ctstate: 'NEW' | 'ESTABLISHED'
  /** Zero until a rule that sets it is judged; shared by the hooks of one way. */
  readonly mark: Mark
  /** Of a frame on a bridge, whose ports `in` and `out` are. */
  readonly frame?: {
    readonly bridge: string
    readonly srcMac: string | undefined
    readonly dstMac: string | undefined
  }
}

/** "maybe": it is dropped unless a rule accepts it whose conditions are not known. `by`: the rule or policy. */
export type Verdict = {
  readonly verdict: 'accept' | 'drop' | 'maybe'
  readonly by: string
}

export type Match = 'yes' | 'no' | 'maybe'

/** What a rule does with a packet that matches: nothing that matters here, if undefined. */
type Action =
  | { readonly do: 'accept' | 'drop' | 'return' }
  | { readonly do: 'jump' | 'goto'; readonly chain: string }

/** A rule, and whether a packet matches it. */
export type JudgedRule = {
  readonly match: Match
  readonly action: Action | undefined
  /** Its words, or where it is. */
  readonly by: string
}

/** How deep chains are followed: the kernel has no more than so many either, and refuses loops. */
const maxDepth = 16

/** What comes of a packet in a chain. */
type Outcome = {
  /** Undefined: it comes to the chain's end. */
  readonly end: { readonly verdict: 'accept' | 'drop'; readonly by: string } | undefined
  /** The first rule that accepts it before that if its conditions hold, which are not known. */
  readonly possible: string | undefined
}

/** Judges a chain's rules one by one as they are asked for: one may set the mark that the next one asks for. */
type RulesOf = (chain: string) => Iterable<JudgedRule>

/** Rules with conditions that are not known are taken not to drop it. */
const walk = (rulesOf: RulesOf, chain: string, depth = 0): Outcome => {
  let possible: string | undefined
  for (const { match, action, by } of rulesOf(chain)) {
    if (match === 'no' || !action) continue
    const isSure = match === 'yes'
    if (action.do === 'jump' || action.do === 'goto') {
      if (depth === maxDepth) continue
      const inner = walk(rulesOf, action.chain, depth + 1)
      if (isSure || inner.end?.verdict !== 'drop') possible ??= inner.possible
      if (isSure && inner.end) return { end: inner.end, possible }
      if (inner.end?.verdict === 'accept') possible ??= inner.end.by
      if (isSure && action.do === 'goto') break
    } else if (isSure) {
      return { end: action.do === 'return' ? undefined : { verdict: action.do, by }, possible }
    } else if (action.do !== 'drop') possible ??= by
  }
  return { end: undefined, possible }
}

type Policy = { readonly verdict: 'accept' | 'drop'; readonly by: string }

/** The verdict of a chain with a policy. */
export const judgeChain = (rulesOf: RulesOf, chain: string, policy: Policy): Verdict => {
  const { end = policy, possible } = walk(rulesOf, chain)
  return end.verdict === 'drop' && possible !== undefined ? { verdict: 'maybe', by: possible } : end
}
