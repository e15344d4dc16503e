/** Port mappings with nftables: one batch a family, over netlink; only conditions in nft's words need its program. */
import type { Attachment } from '../../src/attachment/attachment'
import { portComment } from '../../src/attachment/nft-comments'
import { CniError, ErrorCode } from '../../src/cni/error'
import { ExecError, exec, findProgram } from '../../src/host/exec'
import type { Family } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { ensureChain } from '../../src/netfilter/nft/ensure'
import { nftGeneration, ruleList, ruleListByComment } from '../../src/netfilter/nft/read'
import { ifNftables } from '../../src/netfilter/nft/socket'
import type { NftTransaction } from '../../src/netfilter/nft/transaction'
import { nftUpdate } from '../../src/netfilter/nft/update'
import type { ReadRule } from '../../src/netfilter/nft/wire/rule'
import { NETLINK_NETFILTER, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { Collection } from './backend'
import type { Claimed } from './claims'
import { refusedWords } from './conditions'
import type { PortmapConf } from './config'
import type { InstalledRules, RuleRef } from './owners'
import { areRules } from './rule-match'
import { echoing, type NftSocket, refOf, rulesAt } from './rule-refs'
import {
  conditionalLines,
  containerChains,
  portRules,
  sharedChains,
  snatRules,
  tableComment,
  tableOf,
} from './rules-nftables'

const families: readonly Family[] = [4, 6]

/** Whose rules: a container's that its record names; without those all that bear its comment. */
type Subject = { readonly containerID: string; readonly refs: readonly RuleRef[] | undefined }

/** The rules a record names, or undefined if not all are there: who loads a saved ruleset has them numbered anew. */
const recordedRules = (
  nl: NftSocket,
  family: Family,
  { containerID, refs }: Subject,
): ReadRule[] | undefined => {
  if (!refs) return undefined
  const own = refs.filter(ref => ref.family === family)
  const found = rulesAt(nl, family, own).filter(({ comment }) => comment === portComment(containerID))
  return found.length === own.length ? found : undefined
}

/** The rules of containers in one family. */
const rulesOf = (nl: NftSocket, family: Family, subjects: readonly Subject[]): ReadRule[] => {
  const found: ReadRule[] = []
  const sought = new Set<string>()
  for (const subject of subjects) {
    const recorded = recordedRules(nl, family, subject)
    if (recorded) found.push(...recorded)
    else sought.add(portComment(subject.containerID))
  }
  const [first, ...others] = sought
  if (first === undefined) return found
  const table = tableOf(family)
  const listed = containerChains.flatMap(chain =>
    others.length > 0 ? ruleList(nl, table, chain) : ruleListByComment(nl, table, chain, first),
  )
  return [...found, ...listed.filter(({ comment }) => sought.has(comment))]
}

/**
 * Makes the table, its chains and the rules all containers share, as far as they are not there. The reference puts the
 * conditions of the last network into those, where they hold for everybody's ports.
 */
const ensureShared = (nl: NftSocket, tx: NftTransaction, conf: PortmapConf, family: Family): void => {
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
const replaceRules = (
  nl: NetlinkSocket,
  conf: PortmapConf,
  family: Family,
  earlier: readonly RuleRef[] | undefined,
): RuleRef[] => {
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
    for (const stale of rulesOf(nl, family, [{ containerID, refs: earlier }])) tx.deleteRule(table, stale)
    if (!address) return
    const ports = conf.conditions[family].length > 0 ? [] : portRules(conf, address)
    for (const { chain, rule } of [...ports, ...snatRules(conf, address)]) tx.addRule(table, chain, rule)
  })
  return made
}

/** Adds the rules with conditions, by the nft program; it prints each with the number the kernel gave it. */
const addConditional = async (conf: PortmapConf, address: Cidr): Promise<RuleRef[]> => {
  const { family } = address.addr
  const lines = conf.conditions[family].length > 0 ? conditionalLines(conf, address) : []
  if (lines.length === 0) return []
  const nft = findProgram('nft')
  if (!nft) throw nftMissing()
  const printed = await exec([nft, '--echo', '--handle', '-f', '-'], `${lines.join('\n')}\n`).catch(error => {
    if (!(error instanceof ExecError)) throw error
    throw refusedWords('nft', { family, conditions: conf.conditions[family] }, error)
  })
  const handles = [...printed.matchAll(/ # handle (\d+)$/gm)].map(([, handle = '']) => handle)
  return handles.map(handle => ({ family, chain: 'hostports', handle }))
}

const nftMissing = (): CniError =>
  new CniError(ErrorCode.invalidNetworkConfig, 'conditions in the words of nft need its program', {
    details: 'nft is not in PATH; install nftables, or leave conditionsV4 and conditionsV6 out',
  })

/** Where a container's rules are, if it may have some; undefined if nobody knows. */
const earlierRefs = ({ earlier, recorded }: Claimed): readonly RuleRef[] | undefined => {
  if (!earlier) return recorded ? [] : undefined
  if (!earlier.rules) return undefined
  return earlier.rules.backend === 'nftables' ? earlier.rules.handles : []
}

/** The rules there are before `forwardPortsNftables`; where the new ones will be the kernel decides. */
export const plannedNftables = (_: PortmapConf, claimed?: Claimed): InstalledRules => {
  const handles = claimed && earlierRefs(claimed)
  return { backend: 'nftables', ...(handles && { handles: [...handles] }) }
}

/**
 * Opens the container's ports on the host, for every family it has an address of, in place of those it had. `note`
 * hears where its rules are after each batch.
 */
export const forwardPortsNftables = async (
  conf: PortmapConf,
  claimed: Claimed,
  note: (rules: InstalledRules) => void,
): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_NETFILTER)
  const earlier = earlierRefs(claimed)
  const handles: RuleRef[] = []
  const add = (refs: readonly RuleRef[]): void => {
    handles.push(...refs)
    // What was there before is still to be removed should the other family fail.
    if (earlier) note({ backend: 'nftables', handles: [...earlier, ...handles] })
  }
  try {
    for (const family of families) {
      const hasAddress = conf.addresses.some(({ addr }) => addr.family === family)
      if (hasAddress || earlier?.length !== 0) add(replaceRules(nl, conf, family, earlier))
    }
    for (const address of conf.addresses) add(await addConditional(conf, address))
  } finally {
    nl.close()
  }
  note({ backend: 'nftables', handles })
}

const removeRules = (nl: NetlinkSocket, subjects: readonly Subject[]): void => {
  for (const family of families) {
    nftUpdate(nl, 'close host ports', tx => {
      for (const found of rulesOf(nl, family, subjects)) tx.deleteRule(tableOf(family), found)
    })
  }
}

const subjectOf = ({ containerID }: Attachment, rules: InstalledRules | undefined): Subject => ({
  containerID,
  refs: rules?.backend === 'nftables' ? rules.handles : undefined,
})

/** Removes all rules of an attachment, of both families; none there is no failure. `rules` are what its record says. */
export const unforwardPortsNftables = async (
  id: Attachment,
  rules: InstalledRules | undefined,
): Promise<void> => {
  ifNftables(nl => removeRules(nl, [subjectOf(id, rules)]))
}

/** Removes the rules of attachments that are gone. Those nobody recorded bear no network, and stay. */
export const collectPortsNftables = async ({ gone }: Collection): Promise<void> => {
  ifNftables(nl =>
    removeRules(
      nl,
      gone.map(owner => subjectOf(owner, owner.rules)),
    ),
  )
}

/** Throws unless the kernel has nf_tables, lets this process change it, and the configuration's words can be read. */
export const probeNftables = async ({ conditions }: PortmapConf): Promise<void> => {
  withNetlink(NETLINK_NETFILTER, nftGeneration)
  if (conditions[4].length + conditions[6].length > 0 && !findProgram('nft')) throw nftMissing()
}
