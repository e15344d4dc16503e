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
import { isAmong, isOn } from '../../../attachment/attachment'
import {
  containerChain,
  containerComment,
  isMasqueradeChain,
  parseContainerComment,
} from '../../../attachment/iptables-names'
import { leaseOn } from '../../../attachment/lease'
import { CniError, ErrorCode, saidBy } from '../../../cni/error'
import { warn } from '../../../host/log'
import { type Addr, type Family, formatAddr, widthOf } from '../../../ip/addr'
import { type Cidr, formatCidr, networkOf } from '../../../ip/cidr'
import {
  chainOf,
  commentMatch,
  commentOf,
  deletionOf,
  hasIptables,
  iptablesRestore,
  iptablesSave,
  isRefused,
  isUnlistable,
  rulesNotFound,
  type TableDump,
  targetOf,
  type Variant,
} from '../../iptables'
import { variantsInUse } from '../../iptables-probe'
import type { Kept, Masquerade, MasqueradeRules, Unmasqueraded } from './masquerade'

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

const restoreNat = (family: Family, lines: readonly string[], variant?: Variant): Promise<void> =>
  iptablesRestore(family, [{ table: 'nat', lines }], variant)

/** How often work on a chain is tried that other interfaces of the same container change at the same time. */
const mostAttempts = 4

/** Does `work`, again with the number of the attempt as long as the table is not as it was taken to be. */
const untilAccepted = async (work: (attempt: number) => Promise<void>): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt)
    } catch (error) {
      if (!isRefused(error) || attempt === mostAttempts) throw error
    }
  }
}

const creation = ({ chain, accepts, masquerade, jumps }: FamilyRules): string[] => [
  `-N ${chain}`,
  ...accepts,
  masquerade,
  ...jumps,
]

/** The lines that give the chain what it lacks. Rules of another interface or a lost DEL stay. */
const completion = (rules: FamilyRules, found: TableDump): string[] => {
  if (!found.chains.has(rules.chain)) return creation(rules)
  const isMissing = (rule: string): boolean => !found.rules.includes(rule)
  return [
    // To the front: the MASQUERADE may be there already.
    ...rules.accepts.filter(isMissing).map(rule => rule.replace(/^-A/, '-I')),
    ...[rules.masquerade, ...rules.jumps].filter(isMissing),
  ]
}

const setUpFamily = (rules: FamilyRules, family: Family): Promise<void> =>
  untilAccepted(async attempt => {
    // -N refuses a chain that exists, and the whole transaction with it: at first nothing must be read.
    const lines = attempt === 1 ? creation(rules) : completion(rules, await iptablesSave(family, 'nat'))
    if (lines.length > 0) await restoreNat(family, lines)
  })

/** Does the rule that leads an address to a container's chain go? */
type IsDoomed = (address: string) => boolean

/** A container's chain in the table of one variant of iptables. */
type ChainPlace = { readonly family: Family; readonly chain: string; readonly variant: Variant | undefined }

/** The address that a rule leads to a container's chain. */
const addressOf = (jump: string): string => / -s ([^/\s]+)/.exec(jump)?.[1] ?? ''

/** Removes those rules of a container that are doomed. The chain goes with the last rule that leads there. */
const teardownByReading = async (place: ChainPlace, isDoomed: IsDoomed): Promise<void> => {
  const { family, chain, variant } = place
  const { chains, rules } = await iptablesSave(family, 'nat', variant)
  const jumps = rules.filter(rule => targetOf(rule) === chain)
  const doomed = jumps.filter(rule => isDoomed(addressOf(rule)))
  const isLast = doomed.length === jumps.length
  const lines = doomed.map(deletionOf)
  if (isLast && chains.has(chain)) lines.push(`-F ${chain}`, `-X ${chain}`)
  if (lines.length === 0) return
  await restoreNat(family, lines, variant)
  // The other interfaces may be going at this moment too, and each have left the chain to the other.
  if (!isLast) await teardownByReading(place, isDoomed)
}

/** Removes the rules of one of a container's interfaces; several of them may share a chain. */
const takeDown = async ({ id, known, isDoomed }: Unmasqueraded): Promise<void> => {
  const chain = containerChain(id.network, id.containerID)
  const comment = commentMatch(containerComment(id.network, id.containerID))
  for (const family of families) {
    // Asking costs no program, removing costs one.
    const variants = variantsInUse(family, chain)
    if (variants.length === 0) continue
    const jumps = known
      .filter(({ addr }) => addr.family === family)
      .map(({ addr }) => jumpRule(addr, chain, comment))
    await untilAccepted(async attempt => {
      // -D refuses the whole transaction if a rule is not there, -X if another one leads to the chain.
      if (jumps.length > 0 && attempt === 1)
        return restoreNat(family, [...jumps.map(deletionOf), `-F ${chain}`, `-X ${chain}`])
      for (const variant of variants) await teardownByReading({ family, chain, variant }, isDoomed)
    })
  }
}

/** All rules of the table nat. If they cannot be listed, none is removed: another actor's table must not end the whole GC. */
const rulesToCollect = async (family: Family, variant: Variant | undefined): Promise<readonly string[]> => {
  try {
    return (await iptablesSave(family, 'nat', variant)).rules
  } catch (error) {
    if (!isUnlistable(error)) throw error
    warn(`masquerade rules of containers that are gone stay: ${error.message}: ${error.details}`)
    return []
  }
}

/** All that an ADD has made, where nothing else may have taken its addresses yet. */
const allOf = (masquerade: Masquerade): Unmasqueraded => ({
  id: masquerade,
  known: masquerade.addresses,
  isDoomed: address => masquerade.addresses.some(({ addr }) => formatAddr(addr) === address),
})

/** Is a rule that leads this address to a chain that of a container which is gone, or of an interface whose lease says so? */
const staleOf = ({ network, valid, dataDir }: Kept): ((chain: string, address: string) => boolean) => {
  const kept = new Set(valid.map(({ containerID }) => containerChain(network, containerID)))
  const isValid = isAmong(valid)
  return (chain, address) => {
    if (!kept.has(chain)) return true
    const { containerID, ifName } = leaseOn(network, address, dataDir) ?? {}
    if (containerID === undefined || ifName === undefined) return false
    return containerChain(network, containerID) !== chain || !isValid({ network, containerID, ifName })
  }
}

const collect = async (kept: Kept): Promise<void> => {
  const isStale = staleOf(kept)
  const isOfNetwork = (rule: string): boolean => {
    const named = parseContainerComment(commentOf(rule))
    return named !== undefined && isOn(named, kept.network)
  }
  for (const family of families) {
    for (const variant of variantsInUse(family)) {
      const rules = await rulesToCollect(family, variant)
      const named = rules.filter(isOfNetwork).flatMap(rule => [targetOf(rule), chainOf(rule)])
      for (const chain of new Set(named.filter(isMasqueradeChain))) {
        const jumps = rules.filter(rule => targetOf(rule) === chain)
        if (!jumps.some(rule => isStale(chain, addressOf(rule))) && jumps.length > 0) continue
        const place = { family, chain, variant }
        await untilAccepted(() => teardownByReading(place, address => isStale(chain, address)))
      }
    }
  }
}

const notFound = async (family: Family, wanted: readonly string[]): Promise<string[]> => {
  try {
    const { rules } = await iptablesSave(family, 'nat')
    return wanted.filter(rule => !rules.includes(rule))
  } catch (error) {
    if (!isUnlistable(error)) throw error
    const bare = (rule: string): string => rule.replace(/^-A /, '')
    return (await rulesNotFound(family, 'nat', wanted.map(bare))).map(rule => `-A ${rule}`)
  }
}

const missing = async (masquerade: Masquerade): Promise<string[]> => {
  const lost: string[] = []
  for (const family of familiesOf(masquerade.addresses)) {
    const { accepts, masquerade: rule, jumps } = rulesOf(masquerade, family)
    lost.push(...(await notFound(family, [...accepts, rule, ...jumps])))
  }
  return lost
}

const notReady = (message: string, details: string): CniError =>
  new CniError(ErrorCode.pluginNotAvailable, message, { details })

/** Reading the table fails where the programs or the kernel will not have it. */
const probe = async (): Promise<void> => {
  if (!hasIptables(4)) throw notReady('iptables-restore is not in PATH', 'install iptables')
  try {
    await iptablesSave(4, 'nat')
  } catch (error) {
    // ADD needs no list: iptables refuses a chain that is there.
    if (!isUnlistable(error)) throw notReady('iptables cannot be used', saidBy(error))
  }
}

export const masqueradeRules: MasqueradeRules = {
  setUp: async (masquerade, undo) => {
    undo.add('remove the masquerade rules', () => takeDown(allOf(masquerade)))
    for (const family of familiesOf(masquerade.addresses))
      await setUpFamily(rulesOf(masquerade, family), family)
  },
  takeDown,
  missing,
  collect,
  probe,
  isThere: ({ network, containerID }) =>
    families.some(family => variantsInUse(family, containerChain(network, containerID)).length > 0),
}
