/**
 * The alias of a host veth or an ifb, by which people and programs find out whose it is. It lives in the kernel of every
 * node, so it never changes:
 *
 *   cni <network> <containerID> <ifname>
 *
 * None of the three can hold a blank. Where that is longer than an alias may be, the two names stand as their hashes.
 */
import { type Attachment, shortened, textOf } from './attachment'
import { maxAliasBytes } from './limits'

const prefix = 'cni'

const written = ({ network, containerID, ifName }: Attachment): string =>
  `${prefix} ${network} ${containerID} ${ifName}`

/** The alias of what belongs to an attachment. */
export const formatAlias = (id: Attachment): string => {
  const whole = written(id)
  return Buffer.byteLength(whole) <= maxAliasBytes ? whole : written(shortened(id))
}

/**
 * The attachment an alias names; undefined for an alias that is not ours. Long names may be hashes: `isOn`, `isAmong`
 * and `isAliasOf` know both.
 */
export const parseAlias = (alias: string): Attachment | undefined => {
  const [first, network, containerID, ifName, ...rest] = alias.split(' ')
  if (first !== prefix || !network || !containerID || !ifName || rest.length > 0) return undefined
  return { network, containerID, ifName }
}

/** Does the alias name this attachment? Older versions wrote hashes of names that there would have been room for. */
export const isAliasOf = (alias: string, id: Attachment): boolean => {
  const named = parseAlias(alias)
  return named !== undefined && [textOf(id), textOf(shortened(id))].includes(textOf(named))
}
