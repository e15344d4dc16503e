/** Matches of the user's own, which go into the input of another program. */
import { CniError, ErrorCode, quote } from '../../src/cni/error'
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
