/** Matches of the user's own, which go into the input of another program. */
import { CniError, ErrorCode, quote, shorten } from '../../src/cni/error'
import type { Family } from '../../src/ip/addr'
import type { Backend } from '../../src/netfilter/backend'

/** The backend a list of conditions is written for; iptables' begin with "-" or "!", nft's never do. */
export const backendOfConditions = (list: readonly string[] | undefined): Backend | undefined => {
  const first = list?.[0]
  if (!first) return undefined
  return /^[-!]/.test(first) ? 'iptables' : 'nftables'
}

/**
 * Conditions go as single words into the input of iptables-restore, as they are into nft's: what would end the line,
 * or take the rest of the rule away there, is refused.
 */
export const checkConditions = (
  key: string,
  list: readonly string[] | undefined,
  backend: Backend,
): readonly string[] => {
  const forbidden = backend === 'iptables' ? /\p{Cc}/u : /[\p{Cc};#\\]/u
  const bad = list?.find(word => forbidden.test(word))
  if (bad === undefined) return list ?? []
  const what = backend === 'iptables' ? 'a control character' : 'a control character or one of ; # \\'
  throw new CniError(ErrorCode.invalidNetworkConfig, `"${key}": ${quote(bad)} has ${what}`)
}

/** The failure of rules that the program refused, with the words of the user that are in them. */
export const refusedWords = (
  program: string,
  words: { readonly family: Family; readonly conditions: readonly string[]; readonly chain?: string },
  error: { readonly details: string },
): CniError => {
  const { family, conditions, chain } = words
  const key = conditions.length > 0 ? `conditionsV${family}` : 'externalSetMarkChain'
  const value = shorten(conditions.length > 0 ? conditions.join(' ') : (chain ?? ''), 1000)
  return new CniError(
    ErrorCode.invalidNetworkConfig,
    `${program} refuses the rules of the host ports with "${key}": ${value}`,
    { details: error.details },
  )
}
