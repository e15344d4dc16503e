/** Port mappings with iptables: one iptables-restore a family, in the common case without reading anything before. */
import type { Attachment } from '../../../attachment/attachment'
import { dnatChains, hostportChains, networkOfHostportComment } from '../../../attachment/iptables-names'
import { runAll } from '../../../cni/error'
import type { SystemError } from '../../../host/system-error'
import type { Undo } from '../../../host/undo'
import type { Family } from '../../../ip/addr'
import type { Cidr } from '../../../ip/cidr'
import {
  chainOf,
  commentOf,
  deletionOf,
  hasIptables,
  iptablesRestore,
  iptablesSave,
  isNftVariant,
  isRefused,
  isUnlistable,
  rulesNotFound,
  type TableDump,
  type TableScript,
  targetOf,
  type Variant,
} from '../../iptables'
import { variantsInUse } from '../../iptables-probe'
import { type ChainRule, localnetRules } from '../localnet'
import {
  type Collection,
  type Going,
  type HostPortRules,
  type HostPorts,
  type InstalledRules,
  type Opening,
  refusedWords,
} from './hostports'
import {
  addLine,
  checkLine,
  containerRules,
  destinationsOf,
  installedRules,
  missing,
  sharedNatRules,
  textOfRule,
} from './iptables-rules'

const families: readonly Family[] = [4, 6]

// Two first containers of a node at once get in each other's way at most once for every shared chain.
const maxAttempts = 5

const restoreNat = (family: Family, lines: readonly string[], variant?: Variant): Promise<void> =>
  iptablesRestore(family, [{ table: 'nat', lines }], variant)

/** The rules of a container whose chain has the reference's name, as that of every container's only interface has. */
const plan = (conf: HostPorts): InstalledRules => installedRules(conf)

/** Adds the container's rules if everything shared is in place and nothing of the container is. */
const addAtOnce = (conf: HostPorts, address: Cidr): Promise<void> => {
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

/** The chains of the subject that are there: its own by name, and the container's if that leads to the subject. */
const chainsThere = (found: TableDump, id: Attachment, isOwn: (address: string) => boolean): string[] => {
  const [shared, own] = dnatChains(id)
  const there = [shared, own].filter(chain => found.chains.has(chain))
  return there.filter(chain => chain === own || isOwnChain(found, chain, isOwn))
}

/** A chain that leads nowhere is what a change of another program's has left of one. */
const isOwnChain = (found: TableDump, chain: string, isOwn: (address: string) => boolean): boolean => {
  const destinations = destinationsOf(found.rules, chain)
  return destinations.length === 0 || destinations.some(isOwn)
}

/** The lines that remove chains with all rules that lead to them. */
const removal = (found: TableDump, chains: readonly string[]): string[] =>
  chains.flatMap(chain => [...jumpsTo(found, chain), `-F ${chain}`, `-X ${chain}`])

type Adding = {
  readonly conf: HostPorts
  readonly isOwn: (address: string) => boolean
  /** Hears in which chain the rules are going to be. */
  readonly note: (family: Family, chain: string) => void
}

/**
 * Adds the container's rules after a look at what is there: for the first container, for a repeated ADD, and for a
 * second interface of the container, whose chain gets a name of its own.
 */
const addAfterReading = async ({ conf, isOwn, note }: Adding, address: Cidr): Promise<void> => {
  const { family } = address.addr
  const scripts: TableScript[] = []
  const filter = family === 4 ? await listed(family, 'filter', localnetRules().rules) : undefined
  if (filter) {
    const lines = linesToComplete(filter.found, localnetRules())
    if (lines.length > 0) scripts.push({ table: 'filter', lines })
  }
  const nat = await listed(family, 'nat', sharedNatRules(conf).rules)
  const { found } = nat
  const old = chainsThere(found, conf, isOwn)
  const [shared, own] = dnatChains(conf)
  const chain = found.chains.has(shared) && !old.includes(shared) ? own : shared
  note(family, chain)
  const { rules, entries } = containerRules(conf, address, chain)
  const lines = [...rules, ...entries].map(addLine)
  const completed = linesToComplete(found, sharedNatRules(conf))
  scripts.push({ table: 'nat', lines: [...completed, ...removal(found, old), `-N ${chain}`, ...lines] })
  try {
    await iptablesRestore(family, scripts)
  } catch (error) {
    // Trying again would tell no more of a table that cannot be listed.
    throw isRefused(error) ? (nat.obstacle ?? filter?.obstacle ?? error) : error
  }
}

/**
 * A table, or where it cannot be listed as much of it as can be told: all shared rules or nothing. A chain that is there
 * all the same has iptables-restore refuse the whole transaction.
 */
const listed = async (
  family: Family,
  table: 'nat' | 'filter',
  shared: readonly ChainRule[],
): Promise<{ found: TableDump; obstacle?: SystemError }> => {
  try {
    return { found: await iptablesSave(family, table) }
  } catch (error) {
    if (!isUnlistable(error)) throw error
    const isThere = (await rulesNotFound(family, table, shared.map(textOfRule))).length === 0
    const rules = isThere ? shared.map(rule => `-A ${textOfRule(rule)}`) : []
    const chains = new Set(isThere ? shared.flatMap(({ chain, rule }) => [chain, targetOf(rule)]) : [])
    return { found: { chains, rules }, obstacle: error }
  }
}

/** The lines that delete every rule which leads to a chain. */
const jumpsTo = (found: TableDump, chain: string): string[] =>
  found.rules.filter(rule => targetOf(rule) === chain).map(deletionOf)

/**
 * Can -C be believed? ip6tables-legacy compares only part of a rule (1.8.9): it takes one port or mark for another.
 */
const canCheck = (family: Family): boolean => family === 4 || isNftVariant(family)

const addRules = async (adding: Adding, address: Cidr, isNew: boolean): Promise<void> => {
  const { conf } = adding
  for (let attempt = 0; ; attempt++) {
    try {
      const atOnce = attempt === 0 && isNew && canCheck(address.addr.family)
      return await (atOnce ? addAtOnce(conf, address) : addAfterReading(adding, address))
    } catch (error) {
      if (!isRefused(error)) throw error
      if (attempt === maxAttempts) throw refusalOf(conf, address, error)
    }
  }
}

/** Why the rules are refused: the user's own words in them, if there are some. */
const refusalOf = (conf: HostPorts, { addr: { family } }: Cidr, error: SystemError): Error => {
  const { conditions, externalSetMarkChain: chain } = conf
  if (conditions[family].length === 0 && chain === undefined) return error
  const words = { family, conditions: conditions[family], ...(chain !== undefined && { chain }) }
  return refusedWords(family === 4 ? 'iptables' : 'ip6tables', words, error)
}

/**
 * Opens the container's ports on the host, for every family it has an address of; rules it has already are replaced,
 * those of other families removed if it may have some.
 */
const setUp = async (opening: Opening, undo: Undo): Promise<void> => {
  const { before, whose, isElsewhere, note, ...conf } = opening
  const { earlier, recorded } = before
  const now = whose()
  let installed = plan(conf)
  undo.add('remove the rules of the host ports', () => takeDown({ id: conf, whose, rules: installed }))
  const isOwn = (address: string): boolean => {
    const answer = now.of(address)
    return answer === 'unknown' ? !isElsewhere(address) : answer === 'own'
  }
  const chains: { [family in Family]?: string } = {}
  const adding: Adding = {
    conf,
    isOwn,
    note: (family, chain) => {
      if (chain === dnatChains(conf)[0] && chains[family] === undefined) return
      chains[family] = chain
      installed = installedRules(conf, chains)
      note(installed)
    },
  }
  for (const address of conf.addresses) await addRules(adding, address, !earlier)
  if (recorded && !earlier) return
  const others = families.filter(family => !conf.addresses.some(({ addr }) => addr.family === family))
  for (const family of others) await removeByReading(family, conf, isOwn)
}

/** Removes chains of containers and all rules that lead to them, as far as they are in the table of that variant. */
const removeChains = async (
  family: Family,
  { variant, chainsOf }: { variant: Variant | undefined; chainsOf: (found: TableDump) => readonly string[] },
): Promise<void> => {
  const found = await iptablesSave(family, 'nat', variant)
  const there = chainsOf(found).filter(chain => found.chains.has(chain))
  if (there.length > 0) await restoreNat(family, removal(found, there), variant)
}

const removeByReading = async (
  family: Family,
  id: Attachment,
  isOwn: (address: string) => boolean,
): Promise<void> => {
  for (const variant of variantsInUse(family, ...dnatChains(id)))
    await removeChains(family, { variant, chainsOf: found => chainsThere(found, id, isOwn) })
}

/** Removes an attachment's rules of one family: those that are known without reading, if they are all there are. */
const removeFamily = async (family: Family, { id, whose, rules }: Going): Promise<void> => {
  const now = whose()
  const jumps = rules?.backend === 'iptables' ? rules.jumps[family] : undefined
  const mark = rules?.backend === 'iptables' ? rules.marks?.[family] : undefined
  if (!jumps || !mark || !hasIptables(family) || !canCheck(family))
    return removeByReading(family, id, address => now.isDoomed(address))
  const chain = mark.split(' ')[0]
  try {
    // -C refuses the whole transaction if the chain is another's, -D if a rule is not there, -X if another leads there.
    await restoreNat(family, [`-C ${mark}`, ...jumps.map(rule => `-D ${rule}`), `-F ${chain}`, `-X ${chain}`])
  } catch (error) {
    if (!isRefused(error)) throw error
    await removeByReading(family, id, address => now.isDoomed(address))
  }
}

/** Removes all rules of an attachment, of both families; none there is no failure. */
const takeDown = (going: Going): Promise<void> =>
  runAll(families.map(family => () => removeFamily(family, going)))

/**
 * The chains of a network's attachments that are gone, unrecorded ones among them: such a chain is known by the
 * comments of the rules that lead there and by the addresses it leads to.
 */
const staleChains = (found: TableDump, { network, kept, gone }: Collection): string[] => {
  const ofNetwork = found.rules
    .filter(rule => chainOf(rule) === hostportChains.dnat)
    .filter(rule => networkOfHostportComment(commentOf(rule)) === network)
    .map(targetOf)
  const keptChains = new Set(kept.flatMap(dnatChains))
  const nameless = ofNetwork.filter(chain => !keptChains.has(chain))
  const ended = gone.flatMap(({ id, whose }) => {
    const now = whose()
    return chainsThere(found, id, address => now.isDoomed(address))
  })
  return [...new Set([...nameless, ...ended])]
}

/** Removes the rules of a network's attachments that are gone, those the reference made among them. */
const collect = (collection: Collection): Promise<void> =>
  runAll(
    families.flatMap(family =>
      variantsInUse(family, hostportChains.dnat).map(
        variant => () => removeChains(family, { variant, chainsOf: found => staleChains(found, collection) }),
      ),
    ),
  )

/** Throws unless iptables can be used here: its programs are there and the kernel has the table nat. */
const probe = async (): Promise<void> => {
  try {
    await iptablesSave(4, 'nat')
  } catch (error) {
    // ADD needs no list: iptables refuses a chain that is there.
    if (!isUnlistable(error)) throw error
  }
}

export const hostPortRules: HostPortRules = { plan, setUp, takeDown, missing, collect, probe }
