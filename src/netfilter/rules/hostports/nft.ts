/** Port mappings with nftables: one batch a family, over netlink; only conditions in nft's words need its program. */
import { isAmong } from '../../../attachment/attachment'
import { leaseOn } from '../../../attachment/lease'
import { portComment } from '../../../attachment/nft-comments'
import { CniError, ErrorCode } from '../../../cni/error'
import { exec, findProgram } from '../../../host/exec'
import { isFrom } from '../../../host/system-error'
import type { Undo } from '../../../host/undo'
import type { Family } from '../../../ip/addr'
import type { Cidr } from '../../../ip/cidr'
import { NETLINK_NETFILTER, NetlinkSocket, withNetlink } from '../../../netlink/socket'
import { nftDeleteRules, type PlacedRule } from '../../nft/delete-rules'
import { nftGeneration, ruleList, ruleListByComment } from '../../nft/read'
import { areRules } from '../../nft/rule'
import { ifNftables } from '../../nft/socket'
import { ensureChain, type NftTransaction, nftUpdate } from '../../nft/transaction'
import type { ReadRule } from '../../nft/wire/rule'
import {
  type Before,
  type Collection,
  type Going,
  type HostPortRules,
  type HostPorts,
  type InstalledRules,
  type Opening,
  type RuleRef,
  refusedWords,
} from './hostports'
import { addressed, echoing, missing, type NftSocket, refOf, rulesAt } from './nft-found'
import {
  conditionalLines,
  containerChains,
  portRules,
  sharedChains,
  snatRules,
  tableComment,
  tableOf,
} from './nft-rules'

const families: readonly Family[] = [4, 6]

/** The rules looked for: those a record names, or those with the container's comment that lead to its addresses. */
type Sought = {
  readonly containerID: string
  readonly refs: readonly RuleRef[] | undefined
  /** The addresses the record has; the rules it names lead to no other. */
  readonly recorded: readonly string[]
  /** Does a rule that leads to this address belong to the attachment? */
  readonly isOwn: (address: string | undefined) => boolean
}

/** The rules a record names, or undefined if not all are there: who loads a saved ruleset has them numbered again. */
const recordedRules = (nl: NftSocket, family: Family, sought: Sought): ReadRule[] | undefined => {
  const { containerID, refs, recorded } = sought
  if (!refs) return undefined
  const own = refs.filter(ref => ref.family === family)
  const isRecorded = (address: string | undefined): boolean =>
    address === undefined || recorded.length === 0 || recorded.includes(address)
  // The numbers may be another interface's by now, whose comment is the same.
  const found = addressed(rulesAt(nl, family, own)).filter(
    ({ rule, address }) => rule.comment === portComment(containerID) && isRecorded(address),
  )
  return found.length === own.length ? found.map(({ rule }) => rule) : undefined
}

/** Each rule once, in its table: one may have been looked for more than once. */
const placed = (family: Family, rules: readonly ReadRule[]): PlacedRule[] => {
  const byHandle = new Map(rules.map(rule => [rule.handle, rule]))
  return [...byHandle.values()].map(({ chain, handle }) => ({ table: tableOf(family), chain, handle }))
}

/** The rules of attachments in one family. */
const rulesOf = (nl: NftSocket, family: Family, all: readonly Sought[]): ReadRule[] => {
  const found: ReadRule[] = []
  const unnamed: Sought[] = []
  for (const sought of all) {
    const recorded = recordedRules(nl, family, sought)
    if (recorded) found.push(...recorded)
    else unnamed.push(sought)
  }
  const [first] = unnamed
  if (!first) return found
  const table = tableOf(family)
  for (const chain of containerChains) {
    const listed =
      unnamed.length > 1
        ? ruleList(nl, table, chain)
        : ruleListByComment(nl, table, chain, portComment(first.containerID))
    for (const { containerID, isOwn } of unnamed) {
      const comment = portComment(containerID)
      const rules = addressed(listed.filter(rule => rule.comment === comment))
      found.push(...rules.filter(({ address }) => isOwn(address)).map(({ rule }) => rule))
    }
  }
  return found
}

/**
 * Makes the table, its chains and the rules all containers share, as far as they are not there. The reference puts the
 * conditions of the last network into those, where they hold for all ports.
 */
const ensureShared = (nl: NftSocket, tx: NftTransaction, conf: HostPorts, family: Family): void => {
  const table = tableOf(family)
  tx.addTable(table, { comment: tableComment })
  for (const { chain, rules } of sharedChains(conf, family)) {
    ensureChain(nl, tx, table, chain)
    if (!rules || areRules(ruleList(nl, table, chain.name), table.family, rules)) continue
    tx.flushChain(table, chain.name)
    for (const entry of rules) tx.addRule(table, chain.name, entry)
  }
}

/** One batch for one family: what the container has goes, what is wanted comes. Answers where the new rules are. */
const replaceRules = (nl: NetlinkSocket, conf: HostPorts, family: Family, earlier: Sought): RuleRef[] => {
  const { containerID } = conf
  const table = tableOf(family)
  const address = conf.addresses.find(({ addr }) => addr.family === family)
  let made: RuleRef[] = []
  const hearing = echoing(nl, rules => {
    made = rules
      .filter(({ comment }) => comment === portComment(containerID))
      .map(rule => refOf(family, rule))
  })
  nftUpdate(hearing, 'open host ports', tx => {
    if (address) ensureShared(nl, tx, conf, family)
    for (const stale of rulesOf(nl, family, [earlier])) tx.deleteRule(table, stale)
    if (!address) return
    const ports = conf.conditions[family].length > 0 ? [] : portRules(conf, address)
    for (const { chain, rule } of [...ports, ...snatRules(conf, address)]) tx.addRule(table, chain, rule)
  })
  return made
}

/** Adds the rules with conditions, by the nft program; it prints each with the number the kernel gave it. */
const addConditional = async (conf: HostPorts, address: Cidr): Promise<RuleRef[]> => {
  const { family } = address.addr
  const lines = conf.conditions[family].length > 0 ? conditionalLines(conf, address) : []
  if (lines.length === 0) return []
  const nft = findProgram('nft')
  if (!nft) throw nftMissing()
  const printed = await exec([nft, '--echo', '--handle', '-f', '-'], `${lines.join('\n')}\n`).catch(error => {
    if (!isFrom(error, 'program')) throw error
    throw refusedWords('nft', { family, conditions: conf.conditions[family] }, error)
  })
  const handles = [...printed.matchAll(/ # handle (\d+)$/gm)].map(([, handle = '']) => handle)
  return handles.map(handle => ({ family, chain: 'hostports', handle }))
}

const nftMissing = (): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, 'conditions in the language of nft need the program nft', {
    details: 'nft is not in PATH; install nftables, or remove conditionsV4 and conditionsV6',
  })

/** Where a container's rules are, if it may have some; undefined if unknown. */
const earlierRefs = ({ earlier, recorded }: Before): readonly RuleRef[] | undefined => {
  if (!earlier) return recorded ? [] : undefined
  if (!earlier.rules) return undefined
  return earlier.rules.backend === 'nftables' ? earlier.rules.handles : []
}

/** The rules there are before `setUp`; where the new ones will be the kernel decides. */
const plan = (_: HostPorts, before?: Before): InstalledRules => {
  const handles = before && earlierRefs(before)
  return { backend: 'nftables', ...(handles && { handles: [...handles] }) }
}

/** Opens the container's ports on the host, for every family it has an address of, in place of those it had. */
const setUp = async (opening: Opening, undo: Undo): Promise<void> => {
  const { before, whose, isElsewhere, note, ...conf } = opening
  let installed = plan(conf, before)
  const noteNow = (rules: InstalledRules): void => {
    installed = rules
    note(rules)
  }
  undo.add('remove the rules of the host ports', () => takeDown({ id: conf, whose, rules: installed }))
  const nl = NetlinkSocket.open(NETLINK_NETFILTER)
  const now = whose()
  const earlier = earlierRefs(before)
  const old: Sought = {
    containerID: conf.containerID,
    refs: earlier,
    recorded: now.recorded,
    isOwn: address => {
      const answer = address === undefined ? 'own' : now.of(address)
      return answer === 'unknown' ? !isElsewhere(address ?? '') : answer === 'own'
    },
  }
  const handles: RuleRef[] = []
  const add = (refs: readonly RuleRef[]): void => {
    handles.push(...refs)
    // The former rules must still be removed if the other family fails.
    if (earlier) noteNow({ backend: 'nftables', handles: [...earlier, ...handles] })
  }
  try {
    for (const family of families) {
      const hasAddress = conf.addresses.some(({ addr }) => addr.family === family)
      if (hasAddress || earlier?.length !== 0) add(replaceRules(nl, conf, family, old))
    }
    for (const address of conf.addresses) add(await addConditional(conf, address))
  } finally {
    nl.close()
  }
  noteNow({ backend: 'nftables', handles })
}

const soughtOf = ({ id, whose, rules }: Going): Sought => {
  const now = whose()
  return {
    containerID: id.containerID,
    refs: rules?.backend === 'nftables' ? rules.handles : undefined,
    recorded: now.recorded,
    isOwn: address => address === undefined || now.isDoomed(address),
  }
}

const removeRules = (nl: NetlinkSocket, all: readonly Sought[]): void => {
  for (const family of families) {
    nftDeleteRules(nl, 'close host ports', () => placed(family, rulesOf(nl, family, all)))
  }
}

/** Removes all rules of an attachment, of both families; none there is no failure. */
const takeDown = async (going: Going): Promise<void> => {
  ifNftables(nl => removeRules(nl, [soughtOf(going)]))
}

/** The unrecorded rules of the network's attachments that are gone: their addresses' leases tell whose. */
const straysOf = (nl: NftSocket, family: Family, { network, kept }: Collection): ReadRule[] => {
  const isKept = isAmong(kept)
  const isStray = (address: string, comment: string): boolean => {
    const lease = leaseOn(network, address)
    if (!lease || portComment(lease.containerID) !== comment) return false
    const { containerID, ifName } = lease
    return ifName === undefined
      ? !kept.some(id => id.containerID === containerID)
      : !isKept({ network, containerID, ifName })
  }
  return containerChains.flatMap(chain => {
    const listed = ruleList(nl, tableOf(family), chain)
    const comments = new Set(listed.map(({ comment }) => comment).filter(Boolean))
    return [...comments].flatMap(comment =>
      addressed(listed.filter(rule => rule.comment === comment))
        .filter(({ address }) => address !== undefined && isStray(address, comment))
        .map(({ rule }) => rule),
    )
  })
}

/** Removes the rules of a network's attachments that are gone. Those that neither a record nor a lease names stay. */
const collect = async (collection: Collection): Promise<void> => {
  ifNftables(nl => {
    const gone = collection.gone.map(soughtOf)
    for (const family of families) {
      nftDeleteRules(nl, 'close host ports', () =>
        placed(family, [...rulesOf(nl, family, gone), ...straysOf(nl, family, collection)]),
      )
    }
  })
}

/** Throws unless the kernel has nf_tables, lets this process change it, and the ports' words can be read. */
const probe = async (ports?: HostPorts): Promise<void> => {
  withNetlink(NETLINK_NETFILTER, nftGeneration)
  const hasWords = ports && ports.conditions[4].length + ports.conditions[6].length > 0
  if (hasWords && !findProgram('nft')) throw nftMissing()
}

export const hostPortRules: HostPortRules = { plan, setUp, takeDown, missing, collect, probe }
