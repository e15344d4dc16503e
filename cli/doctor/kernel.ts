/** The parts that the kernel must have. Asking makes it load modules at most; nothing is left behind. */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { CniError } from '../../src/cni/error'
import { readSysctl } from '../../src/host/sysctl'
import { isFrom } from '../../src/host/system-error'
import { nftGeneration, noNftables } from '../../src/netfilter/nft/read'
import { rule } from '../../src/netfilter/nft/rule'
import { iifname } from '../../src/netfilter/nft/selector'
import { drop, eq } from '../../src/netfilter/nft/statement'
import { type NftTransaction, nftProbe } from '../../src/netfilter/nft/transaction'
import type { NftFamily } from '../../src/netfilter/nft/wire/message'
import type { BaseChain } from '../../src/netfilter/nft/wire/table'
import { NETLINK_NETFILTER, NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { hasActionKind, hasLinkKind, hasQdiscKind } from '../../src/netlink/tc-probe'
import { type Check, type Diagnosis, fault, notSeen, ok, type Patient } from './diagnosis'

const check = 'kernel'

/** A part of the kernel: its module, and how to ask for it. */
type Part = { readonly module: string; readonly has: (nl: NetlinkSocket) => boolean }

const linkParts: readonly Part[] = [
  { module: 'bridge', has: nl => hasLinkKind(nl, 'bridge') },
  { module: 'veth', has: nl => hasLinkKind(nl, 'veth') },
]

const limitParts: readonly Part[] = [
  { module: 'ifb', has: nl => hasLinkKind(nl, 'ifb') },
  { module: 'sch_tbf', has: nl => hasQdiscKind(nl, 'tbf') },
  { module: 'sch_ingress', has: nl => hasQdiscKind(nl, 'ingress') },
  { module: 'act_mirred', has: nl => hasActionKind(nl, 'mirred') !== false },
  { module: 'cls_u32', has: () => hasFilterKind('u32') !== false },
]

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

const readConfig = (): string | undefined => {
  try {
    return gunzipSync(readFileSync('/proc/config.gz')).toString()
  } catch {
    return readText(`/boot/config-${readSysctl('kernel/osrelease')}`)
  }
}

/**
 * A kernel looks for a filter's kind only where it may be put, and to make such a place would change the host; so
 * what it was built with must tell. Undefined where that is not to be found.
 */
const hasFilterKind = (kind: string): boolean | undefined => {
  const modules = `/lib/modules/${readSysctl('kernel/osrelease')}`
  const lists = ['/proc/modules', `${modules}/modules.builtin`, `${modules}/modules.dep`].map(readText)
  if (lists.some(list => list?.includes(`cls_${kind}`))) return true
  const config = readConfig()
  if (config !== undefined) return new RegExp(`^CONFIG_NET_CLS_${kind.toUpperCase()}=[ym]`, 'm').test(config)
  return lists[1] === undefined ? undefined : false
}

const reasonOf = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join(': ')
}

const absentParts = (parts: readonly Part[]): string[] =>
  withNetlink(NETLINK_ROUTE, nl => parts.filter(({ has }) => !has(nl)).map(({ module }) => module))

const load = (modules: readonly string[]): string => `modprobe ${modules.join(' ')}, or another kernel`

/** bandwidth and kubenet limit rates; without them, those parts are not needed. */
const needsLimits = ({ survey }: Patient): boolean =>
  survey.readings.networks.some(({ types }) => types.includes('bandwidth') || types.includes('kubenet'))

const linksAndRates: Check = patient => {
  try {
    const links = absentParts(linkParts)
    const limits = absentParts(limitParts)
    const found = [...linkParts, ...limitParts].map(({ module }) => module)
    const lines: Diagnosis[] = []
    if (links.length > 0)
      lines.push(fault('KN0001', { says: `it has no ${links.join(', ')}`, remedy: load(links) }))
    if (limits.length > 0) {
      const says = `it has no ${limits.join(', ')}: rates cannot be limited`
      lines.push(fault(needsLimits(patient) ? 'KN0002' : 'KN0003', { says, remedy: load(limits) }))
    }
    const there = found.filter(module => !links.includes(module) && !limits.includes(module))
    return [...lines, ok(check, `it has ${there.join(', ')}`)]
  } catch (error) {
    return [notSeen(check, reasonOf(error))]
  }
}

const probeTable = 'kubenet-doctor'

/** Would the kernel take these changes of a table? They are not made. */
const takes = (nl: NetlinkSocket, build: (tx: NftTransaction) => void): boolean => {
  try {
    nftProbe(nl, build)
    return true
  } catch (error) {
    if (!isFrom(error, 'netlink') || error.code === 'EPERM') throw error
    return false
  }
}

const hasChainType = (nl: NetlinkSocket, family: NftFamily, { type, hook, priority }: BaseChain): boolean =>
  takes(nl, tx => {
    const table = { family, name: probeTable }
    tx.addTable(table).addChain(table, { name: 'probe', type, hook, priority })
  })

/** Rules of bridges that look at an interface need a module of their own. */
const hasBridgeMeta = (nl: NetlinkSocket): boolean =>
  takes(nl, tx => {
    const table = { family: 'bridge', name: probeTable } as const
    tx.addTable(table).addChain(table, { name: 'probe' })
    tx.addRule(table, 'probe', rule([eq(iifname, 'probe'), drop()]))
  })

const nat: BaseChain = { name: '', type: 'nat', hook: 'postrouting', priority: 100 }
const filter: BaseChain = { name: '', type: 'filter', hook: 'forward', priority: 0 }

const chainTypes: readonly (readonly [family: NftFamily, chain: BaseChain])[] = [
  ['inet', nat],
  ['inet', filter],
  ['ip', nat],
  ['ip6', nat],
  ['bridge', filter],
]

const nftables: Check = ({ survey }) => {
  const isNeeded = survey.readings.networks.some(({ masquerade }) => masquerade?.by === 'kubenet')
  try {
    withNetlink(NETLINK_NETFILTER, nftGeneration)
    const absent = withNetlink(NETLINK_NETFILTER, nl =>
      chainTypes.filter(([family, chain]) => !hasChainType(nl, family, chain)),
    ).map(([family, { type }]) => `${type} in family ${family}`)
    if (absent.length === 0 && !withNetlink(NETLINK_NETFILTER, hasBridgeMeta)) {
      const says = 'it has no nft_meta_bridge: neither promiscuous bridges nor "macspoofchk" work'
      return [fault(isNeeded ? 'KN0004' : 'KN0005', { says, remedy: load(['nft_meta_bridge']) })]
    }
    if (absent.length === 0) return [ok(check, 'it has nf_tables, of the families ip, ip6, inet and bridge')]
    const says = `its nf_tables has no chains of type ${absent.join(', ')}`
    return [fault(isNeeded ? 'KN0004' : 'KN0005', { says, remedy: load(['nf_tables', 'nft_chain_nat']) })]
  } catch (error) {
    if (isFrom(error, 'netlink', ...noNftables)) {
      const says = 'it has no nf_tables'
      const remedy = `${load(['nf_tables'])}; networks work with iptables meanwhile`
      return [fault(isNeeded ? 'KN0004' : 'KN0005', { says, remedy })]
    }
    return [notSeen(check, reasonOf(error))]
  }
}

export const kernelChecks: readonly Check[] = [linksAndRates, nftables]
