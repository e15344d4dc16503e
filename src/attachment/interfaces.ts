/** The names and aliases of the interfaces that are made on the host for an attachment. Nodes have them, so they never change. */
import { platform } from '#platform'
import { type Attachment, hashOf, type InterfaceID, shortened, textOf } from './attachment'

const vethDigits = 8
const ifbDigits = 12

/** The prefix of the names of host veths, unless a configuration has another one. */
export const defaultVethPrefix = 'veth'

/** How long the beginning of a host veth's name may be: the kernel has room for 15 bytes. */
export const longestVethPrefix = 15 - vethDigits

/** A name for a port of a bridge, made from what it is for. */
export const vethName = (purpose: string, prefix: string = defaultVethPrefix): string =>
  prefix + platform.sha512Hex(purpose).slice(0, vethDigits)

/** The name of an attachment's host veth: the same for every ADD, unless another interface has it. */
export const hostVethName = ({ containerID, ifName }: InterfaceID, attempt = 0, prefix?: string): string =>
  vethName(`${containerID}\n${ifName}${attempt === 0 ? '' : `\n${attempt}`}`, prefix)

/** The prefix of the names of containers' ifbs: those bandwidth makes, and the reference's. */
export const ifbPrefix = 'bwp'

/** The name the reference gives to the ifb of any interface of a container on a network. */
export const referenceIfbName = ({ network, containerID }: Omit<Attachment, 'ifName'>): string =>
  ifbPrefix + platform.sha512Hex(network + containerID).slice(0, ifbDigits)

/**
 * The names an attachment's ifb may have, the reference's first. That one has no interface in it: where another
 * interface of the container on this network has it, the second name is taken.
 */
export const ifbNames = (id: Attachment): [string, string] => [
  referenceIfbName(id),
  ifbPrefix + hashOf(id).slice(0, ifbDigits),
]

/**
 * The alias of a host veth or an ifb, by which people and programs find out whose it is. It lives in the kernel of every
 * node, so it never changes:
 *
 *   cni <network> <containerID> <ifname>
 *
 * None of the three can hold a blank. Where that is longer than an alias may be, the two names stand as their hashes.
 */
const aliasPrefix = 'cni'

/** <linux/if.h>, IFALIASZ less the final NUL. */
const maxAliasBytes = 255

const written = ({ network, containerID, ifName }: Attachment): string =>
  `${aliasPrefix} ${network} ${containerID} ${ifName}`

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
  if (first !== aliasPrefix || !network || !containerID || !ifName || rest.length > 0) return undefined
  return { network, containerID, ifName }
}

/** Does the alias name this attachment? Older versions wrote hashes of names that there would have been room for. */
export const isAliasOf = (alias: string, id: Attachment): boolean => {
  const named = parseAlias(alias)
  return named !== undefined && [textOf(id), textOf(shortened(id))].includes(textOf(named))
}
