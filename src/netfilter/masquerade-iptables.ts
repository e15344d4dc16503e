/**
 * Masquerading with iptables, rule for rule as the reference has it, per address of a container:
 *
 *   -N CNI-<24 hex digits>
 *   -A CNI-… -d 10.1.2.0/24 -m comment --comment "name: \"net\" id: \"c1\"" -j ACCEPT
 *   -A CNI-… ! -d 224.0.0.0/4 -m comment --comment … -j MASQUERADE
 *   -A POSTROUTING -s 10.1.2.3/32 -m comment --comment … -j CNI-…
 *
 * and before MASQUERADE an ACCEPT for each network that is never masqueraded.
 */
import { type Addr, type Family, formatAddr, widthOf } from '../ip/addr'
import { type Cidr, formatCidr, networkOf } from '../ip/cidr'
import {
  chainOf,
  commentMatch,
  commentOf,
  deletionOf,
  hasIptables,
  iptablesRestore,
  iptablesSave,
  isRefused,
  targetOf,
} from './iptables'
import type { Masquerade } from './masquerade'
import { containerChain, containerComment, isMasqueradeChain, parseContainerComment } from './names'

const multicast = { 4: '224.0.0.0/4', 6: 'ff00::/8' } as const

const families: readonly Family[] = [4, 6]

const jumpRule = (addr: Addr, chain: string, comment: string): string =>
  `-A POSTROUTING -s ${formatAddr(addr)}/${widthOf(addr.family)} ${comment} -j ${chain}`

type FamilyRules = { chain: string; accepts: string[]; masquerade: string; jumps: string[] }

/** The rules for one family's addresses, in the very form iptables-save prints them. */
const rulesOf = ({ network, containerID, addresses, exempt }: Masquerade, family: Family): FamilyRules => {
  const chain = containerChain(network, containerID)
  const comment = commentMatch(containerComment(network, containerID))
  const ofFamily = (cidrs: readonly Cidr[]) => cidrs.filter(({ addr }) => addr.family === family)
  const mine = ofFamily(addresses)
  const accepted = unique([...mine.map(networkOf), ...ofFamily(exempt)].map(formatCidr))
  return {
    chain,
    accepts: accepted.map(cidr => `-A ${chain} -d ${cidr} ${comment} -j ACCEPT`),
    masquerade: `-A ${chain} ! -d ${multicast[family]} ${comment} -j MASQUERADE`,
    jumps: mine.map(({ addr }) => jumpRule(addr, chain, comment)),
  }
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)]

const familiesOf = (addresses: readonly Cidr[]): Family[] =>
  families.filter(family => addresses.some(({ addr }) => addr.family === family))

const restoreNat = (family: Family, lines: readonly string[]): Promise<void> =>
  iptablesRestore(family, [{ table: 'nat', lines }])

const setupFamily = async (rules: FamilyRules, family: Family): Promise<void> => {
  const { chain, accepts, masquerade, jumps } = rules
  try {
    // -N refuses a chain that exists, and the whole transaction with it: nothing has to be read before.
    await restoreNat(family, [`-N ${chain}`, ...accepts, masquerade, ...jumps])
  } catch (error) {
    if (!isRefused(error)) throw error
    // The chain may be there: from another interface of this container on the same network, or a lost DEL.
    const { chains, rules: found } = await iptablesSave(family, 'nat')
    if (!chains.has(chain)) throw error
    const kept = found.filter(rule => chainOf(rule) === chain && targetOf(rule) === 'ACCEPT')
    const missing = jumps.filter(rule => !found.includes(rule))
    await restoreNat(family, [`-F ${chain}`, ...unique([...kept, ...accepts]), masquerade, ...missing])
  }
}

/** Makes the rules of every family the container has an address of. */
export const setupMasqueradeIptables = async (masquerade: Masquerade): Promise<void> => {
  for (const family of familiesOf(masquerade.addresses)) {
    await setupFamily(rulesOf(masquerade, family), family)
  }
}

/** Removes rules found by reading the table: all of the container's, or those for some of its addresses. */
const teardownByReading = async (family: Family, chain: string, only?: readonly string[]): Promise<void> => {
  const { chains, rules } = await iptablesSave(family, 'nat')
  const jumps = rules.filter(rule => targetOf(rule) === chain)
  const doomed = only ? jumps.filter(rule => only.includes(rule)) : jumps
  const lines = doomed.map(deletionOf)
  if (chains.has(chain) && doomed.length === jumps.length) lines.push(`-F ${chain}`, `-X ${chain}`)
  if (lines.length > 0) await restoreNat(family, lines)
}

/**
 * Removes a container's rules. With its addresses known, only theirs go: another interface of the container on the
 * same network shares the chain. Without, all go.
 */
export const teardownMasqueradeIptables = async (
  network: string,
  containerID: string,
  addresses: readonly Cidr[],
): Promise<void> => {
  const chain = containerChain(network, containerID)
  const comment = commentMatch(containerComment(network, containerID))
  const concerned = addresses.length > 0 ? familiesOf(addresses) : families
  for (const family of concerned.filter(hasIptables)) {
    const jumps = addresses
      .filter(({ addr }) => addr.family === family)
      .map(({ addr }) => jumpRule(addr, chain, comment))
    if (jumps.length === 0) {
      await teardownByReading(family, chain)
      continue
    }
    try {
      await restoreNat(family, [...jumps.map(deletionOf), `-F ${chain}`, `-X ${chain}`])
    } catch (error) {
      if (!isRefused(error)) throw error
      await teardownByReading(family, chain, jumps)
    }
  }
}

/** The containers of a network that have masquerade rules, by their rules' comments. */
export const masqueradedContainers = async (network: string): Promise<Set<string>> => {
  const containers = new Set<string>()
  for (const family of families.filter(hasIptables)) {
    for (const rule of (await iptablesSave(family, 'nat')).rules) {
      if (!isMasqueradeChain(targetOf(rule)) && !isMasqueradeChain(chainOf(rule))) continue
      const owner = parseContainerComment(commentOf(rule))
      if (owner?.network === network) containers.add(owner.containerID)
    }
  }
  return containers
}

/** The rules of `masquerade` that are missing, in iptables' words. */
export const missingMasqueradeIptables = async (masquerade: Masquerade): Promise<string[]> => {
  const missing: string[] = []
  for (const family of familiesOf(masquerade.addresses)) {
    const { accepts, masquerade: rule, jumps } = rulesOf(masquerade, family)
    const found = (await iptablesSave(family, 'nat')).rules
    missing.push(...[...accepts, rule, ...jumps].filter(wanted => !found.includes(wanted)))
  }
  return missing
}
