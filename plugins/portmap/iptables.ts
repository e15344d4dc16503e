/** Port mappings with iptables: one iptables-restore a family, in the common case without reading anything before. */
import type { Attachment } from '../../src/attachment/attachment'
import { hostportChains, networkOfHostportComment } from '../../src/attachment/iptables-names'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import type { Family } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import {
  chainOf,
  commentOf,
  deletionOf,
  hasIptables,
  type IptablesError,
  iptablesRestore,
  iptablesSave,
  isNftVariant,
  isRefused,
  type TableDump,
  type TableScript,
  targetOf,
  type Variant,
} from '../../src/netfilter/iptables'
import { variantsInUse } from '../../src/netfilter/iptables-probe'
import type { Collection } from './backend'
import type { Claimed } from './claims'
import { refusedWords } from './conditions'
import type { PortmapConf } from './config'
import type { InstalledRules } from './owners'
import {
  addLine,
  type ChainRule,
  checkLine,
  containerRules,
  dnatChain,
  localnetRules,
  missingRules,
  sharedNatRules,
} from './rules-iptables'

const families: readonly Family[] = [4, 6]

// Two first containers of a node at once get in each other's way at most once for every shared chain.
const maxAttempts = 5

const restoreNat = (family: Family, lines: readonly string[], variant?: Variant): Promise<void> =>
  iptablesRestore(family, [{ table: 'nat', lines }], variant)

/** The rules in shared chains that lead to the container's own, as its record keeps them. */
export const plannedIptables = (conf: PortmapConf): InstalledRules => {
  const jumps: { [family in Family]?: string[] } = {}
  for (const address of conf.addresses) {
    const { entries } = containerRules(conf, address)
    jumps[address.addr.family] = entries.map(({ chain, rule }) => `${chain} ${rule}`)
  }
  return { backend: 'iptables', jumps }
}

/** Adds the container's rules if everything shared is in place and nothing of the container is. */
const addAtOnce = (conf: PortmapConf, address: Cidr): Promise<void> => {
  const { family } = address.addr
  const { chain, rules, entries } = containerRules(conf, address)
  const nat: TableScript = {
    table: 'nat',
    // -C refuses the whole transaction if a shared rule is missing, -N if the container has a chain already.
    lines: [
      ...sharedNatRules(conf).rules.map(checkLine),
      `-N ${chain}`,
      ...[...rules, ...entries].map(addLine),
    ],
  }
  const filter: TableScript = { table: 'filter', lines: localnetRules().rules.map(checkLine) }
  return iptablesRestore(family, family === 4 ? [filter, nat] : [nat])
}

/** The lines that make shared chains and rules complete; order and position of those that exist stay. */
const linesToComplete = (
  found: TableDump,
  { chains, rules }: { chains: readonly string[]; rules: readonly ChainRule[] },
): string[] => [
  ...chains.filter(chain => !found.chains.has(chain)).map(chain => `-N ${chain}`),
  ...rules.filter(({ chain, rule }) => !found.rules.includes(`-A ${chain} ${rule}`)).map(addLine),
]

/** Adds the container's rules after a look at what is there: for the first container, and for a repeated ADD. */
const addAfterReading = async (conf: PortmapConf, address: Cidr): Promise<void> => {
  const { family } = address.addr
  const { chain, rules, entries } = containerRules(conf, address)
  const scripts: TableScript[] = []
  if (family === 4) {
    const lines = linesToComplete(await iptablesSave(family, 'filter'), localnetRules())
    if (lines.length > 0) scripts.push({ table: 'filter', lines })
  }
  const found = await iptablesSave(family, 'nat')
  const own = found.chains.has(chain) ? [...jumpsTo(found, chain), `-F ${chain}`] : [`-N ${chain}`]
  const shared = linesToComplete(found, sharedNatRules(conf))
  scripts.push({ table: 'nat', lines: [...shared, ...own, ...[...rules, ...entries].map(addLine)] })
  await iptablesRestore(family, scripts)
}

/** The lines that delete every rule which leads to a chain. */
const jumpsTo = (found: TableDump, chain: string): string[] =>
  found.rules.filter(rule => targetOf(rule) === chain).map(deletionOf)

/**
 * Can -C be believed? ip6tables-legacy compares only part of a rule (1.8.9): it takes one port or mark for another.
 */
const canCheck = (family: Family): boolean => family === 4 || isNftVariant(family)

const addRules = async (conf: PortmapConf, address: Cidr): Promise<void> => {
  for (let attempt = 0; ; attempt++) {
    try {
      const atOnce = attempt === 0 && canCheck(address.addr.family)
      return await (atOnce ? addAtOnce(conf, address) : addAfterReading(conf, address))
    } catch (error) {
      if (!isRefused(error)) throw error
      if (attempt === maxAttempts) throw refusalOf(conf, address, error)
    }
  }
}

/** Why the rules are refused: the user's own words in them, if there are some. */
const refusalOf = (conf: PortmapConf, { addr: { family } }: Cidr, error: IptablesError): Error => {
  const { conditions, externalSetMarkChain: chain } = conf
  if (conditions[family].length === 0 && chain === undefined) return error
  const words = { family, conditions: conditions[family], ...(chain !== undefined && { chain }) }
  return refusedWords(family === 4 ? 'iptables' : 'ip6tables', words, error)
}

/**
 * Opens the container's ports on the host, for every family it has an address of; rules it has already are replaced,
 * those of other families removed if it may have some.
 */
export const forwardPortsIptables = async (
  conf: PortmapConf,
  { earlier, recorded }: Claimed,
): Promise<void> => {
  for (const address of conf.addresses) await addRules(conf, address)
  if (recorded && !earlier) return
  const others = families.filter(family => !conf.addresses.some(({ addr }) => addr.family === family))
  for (const family of others) await removeByReading(family, dnatChain(conf.network, conf.containerID))
}

/** Throws unless all rules of the container are there, naming the first that is not. */
export const checkPortsIptables = async (conf: PortmapConf): Promise<void> => {
  for (const address of conf.addresses) {
    const { family } = address.addr
    const { rules } = await iptablesSave(family, 'nat')
    const [missing] = missingRules(rules, conf, address)
    if (!missing) continue
    throw new CniError(
      ErrorCode.internal,
      `a port mapping's rule is missing in the IPv${family} table nat: ${missing.chain} ${missing.rule}`,
      { details: 'somebody has removed it: "kubenet sync" makes it again' },
    )
  }
}

/** Removes chains of containers and all rules that lead to them, as far as they are in the table of that variant. */
const removeChains = async (
  family: Family,
  { variant, chainsOf }: { variant: Variant | undefined; chainsOf: (found: TableDump) => readonly string[] },
): Promise<void> => {
  const found = await iptablesSave(family, 'nat', variant)
  const there = chainsOf(found).filter(chain => found.chains.has(chain))
  if (there.length === 0) return
  const lines = there.flatMap(chain => [...jumpsTo(found, chain), `-F ${chain}`, `-X ${chain}`])
  await restoreNat(family, lines, variant)
}

const removeByReading = async (family: Family, chain: string): Promise<void> => {
  for (const variant of variantsInUse(family, chain))
    await removeChains(family, { variant, chainsOf: () => [chain] })
}

/** Removes a container's rules of one family: those that are known without reading, if they are all there are. */
const removeFamily = async (family: Family, chain: string, jumps?: readonly string[]): Promise<void> => {
  if (!jumps || !hasIptables(family)) return removeByReading(family, chain)
  try {
    // -D refuses the whole transaction if a rule is not there, -X if another one leads to the chain.
    await restoreNat(family, [...jumps.map(rule => `-D ${rule}`), `-F ${chain}`, `-X ${chain}`])
  } catch (error) {
    if (!isRefused(error)) throw error
    await removeByReading(family, chain)
  }
}

/** Removes all rules of a container, of both families; none there is no failure. `rules` are what its record says. */
export const unforwardPortsIptables = (
  { network, containerID }: Attachment,
  rules: InstalledRules | undefined,
): Promise<void> => {
  const chain = dnatChain(network, containerID)
  const jumps = rules?.backend === 'iptables' ? rules.jumps : {}
  return runAll(families.map(family => () => removeFamily(family, chain, jumps[family])))
}

/** The chains of a network's containers that are not to be kept, by the comments of the rules that lead there. */
const staleChains = (found: TableDump, { network, kept, gone }: Collection): string[] => {
  const ofNetwork = found.rules
    .filter(rule => chainOf(rule) === hostportChains.dnat)
    .filter(rule => networkOfHostportComment(commentOf(rule)) === network)
    .map(targetOf)
  const keptChains = kept.map(containerID => dnatChain(network, containerID))
  const goneChains = gone.map(({ containerID }) => dnatChain(network, containerID))
  return [...new Set([...ofNetwork, ...goneChains])].filter(chain => !keptChains.includes(chain))
}

/** Removes the rules of a network's containers that are gone, those the reference made among them. */
export const collectPortsIptables = (collection: Collection): Promise<void> =>
  runAll(
    families.flatMap(family =>
      variantsInUse(family, hostportChains.dnat).map(
        variant => () => removeChains(family, { variant, chainsOf: found => staleChains(found, collection) }),
      ),
    ),
  )

/** Throws unless iptables can be used here: its programs are there and the kernel has the table nat. */
export const probeIptables = async (): Promise<void> => {
  await iptablesSave(4, 'nat')
}
