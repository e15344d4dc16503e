/**
 * The tables and chains that attachments share. Only the reference plugins use the same names. When this
 * runs, no attachment lives, so their rules lead to no container. A table with a chain of another name stays.
 */
import { dnatChainPrefix, hostportChains, isMasqueradeChain } from '../../src/attachment/iptables-names'
import { spoofCheckPrefix } from '../../src/attachment/nft-comments'
import type { Family } from '../../src/ip/addr'
import {
  chainOf,
  deletionOf,
  iptablesRestore,
  iptablesSave,
  isUnlistable,
  type TableScript,
  targetOf,
  type Variant,
} from '../../src/netfilter/iptables'
import { variantsInUse } from '../../src/netfilter/iptables-probe'
import { chainList, ruleList, tableList } from '../../src/netfilter/nft/read'
import { ifNftables } from '../../src/netfilter/nft/socket'
import { nftUpdate } from '../../src/netfilter/nft/transaction'
import { formatTable, type NftTable } from '../../src/netfilter/nft/wire/table'
import type { NetlinkSocket } from '../../src/netlink/socket'
import type { Tally } from './tally'

const hostports =
  /^(hostports|hostip_hostports|hostports_all|prerouting|output|martians|masquerading|masquerade_mark_\d+)$/

/** The tables, and the chains that this program or the reference makes in them. */
const tables: readonly { readonly table: NftTable; readonly chains: RegExp }[] = [
  {
    table: { family: 'inet', name: 'kubenet' },
    chains: /^(hostports|prerouting|output|postrouting|from_pods|to_outside|martians)$/,
  },
  { table: { family: 'bridge', name: 'kubenet' }, chains: /^dedup-/ },
  { table: { family: 'inet', name: 'cni_plugins_masquerade' }, chains: /^(masq_checks|postrouting)$/ },
  { table: { family: 'inet', name: 'cni_drop_invalid' }, chains: /^(containers|forward)$/ },
  { table: { family: 'ip', name: 'cni_hostport' }, chains: hostports },
  { table: { family: 'ip6', name: 'cni_hostport' }, chains: hostports },
]

const purgeTables = (nl: NetlinkSocket, tally: Tally): void => {
  const there = new Set(tableList(nl).map(formatTable))
  for (const { table, chains } of tables.filter(entry => there.has(formatTable(entry.table)))) {
    const what = formatTable(table)
    const foreign = chainList(nl, table).find(({ name }) => !chains.test(name))
    if (foreign) tally.kept.push(`${what} stays: its chain "${foreign.name}" is another program's`)
    else tally.remove(what, () => nftUpdate(nl, `delete ${what}`, tx => void tx.deleteTable(table)))
  }
}

const spoofTable = { family: 'bridge', name: 'nat' } as const
const spoofChain = /^cni-br-iface-/

/** The checks of MACs are in a table that ebtables has too: it goes if nothing else is in it. */
const purgeSpoofChecks = (nl: NetlinkSocket, tally: Tally): void => {
  const chains = chainList(nl, spoofTable)
  const own = chains.filter(({ name }) => spoofChain.test(name))
  const entries = ruleList(nl, spoofTable, 'PREROUTING')
  const ours = entries.filter(({ comment }) => comment.startsWith(spoofCheckPrefix))
  const isEmpty =
    entries.length === ours.length &&
    chains.length > 0 &&
    chains.every(({ name }) => name === 'PREROUTING' || spoofChain.test(name))
  if (!isEmpty && own.length === 0) return
  const what = isEmpty ? formatTable(spoofTable) : `the checks of MACs in ${formatTable(spoofTable)}`
  tally.remove(what, () =>
    nftUpdate(nl, `delete ${what}`, tx => {
      if (isEmpty) return void tx.deleteTable(spoofTable)
      for (const entry of ours) tx.deleteRule(spoofTable, entry)
      // A chain is deleted after the one that jumps to it: "…-mac" after its own.
      for (const { name } of own.toSorted((a, b) => a.name.length - b.name.length))
        tx.deleteChain(spoofTable, name)
    }),
  )
}

const shared: readonly string[] = Object.values(hostportChains)

const isOwnChain = (chain: string): boolean =>
  shared.includes(chain) || chain.startsWith(dnatChainPrefix) || isMasqueradeChain(chain)

/** What deletes this program's chains of one table, and the rules that lead to them. */
const scriptFor = async (
  family: Family,
  table: TableScript['table'],
  variant: Variant | undefined,
): Promise<TableScript | undefined> => {
  const { chains, rules } = await iptablesSave(family, table, variant)
  const own = [...chains].filter(isOwnChain)
  if (own.length === 0) return undefined
  const jumps = rules.filter(rule => isOwnChain(targetOf(rule)) && !isOwnChain(chainOf(rule)))
  return {
    table,
    lines: [...jumps.map(deletionOf), ...own.map(chain => `-F ${chain}`), ...own.map(chain => `-X ${chain}`)],
  }
}

const purgeIptables = async (family: Family, tally: Tally): Promise<void> => {
  for (const variant of variantsInUse(family)) {
    const scripts: TableScript[] = []
    for (const table of ['nat', 'filter'] as const) {
      try {
        const script = await scriptFor(family, table, variant)
        if (script) scripts.push(script)
      } catch (error) {
        if (!isUnlistable(error)) throw error
        tally.kept.push(`chains of iptables may stay: ${error.message}: ${error.details}`)
      }
    }
    if (scripts.length === 0) continue
    const what = `the IPv${family} chains CNI-… of iptables${variant ? `-${variant}` : ''}`
    await tally.attemptLater(what, async () => {
      await iptablesRestore(family, scripts, variant)
      tally.removed.push(what)
    })
  }
}

/** Deletes them all. */
export const purgeRules = async (tally: Tally): Promise<void> => {
  for (const purge of [purgeTables, purgeSpoofChecks])
    tally.attempt('the rules of nftables', () => void ifNftables(nl => purge(nl, tally)))
  for (const family of [4, 6] as const)
    await tally.attemptLater(`the IPv${family} rules of iptables`, () => purgeIptables(family, tally))
}
