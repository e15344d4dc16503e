/** Everything a survey reads, one thing after the other; what cannot be read is noted and left out. */
import { lstatSync, readFileSync } from 'node:fs'
import { listOwners, namesIn, type PortOwner } from '../../plugins/portmap/records'
import { hostportsFolder } from '../../src/attachment/host-ports'
import { usualDataDir } from '../../src/attachment/lease'
import { CniError } from '../../src/cni/error'
import { readBootID } from '../../src/host/boot'
import { readSysctl } from '../../src/host/sysctl'
import { type HostView, thisHost } from '../../src/life/host-view'
import { unlistedTable } from '../../src/netfilter/iptables'
import { ifNftables } from '../../src/netfilter/nft/socket'
import { hasAllBaseRules } from '../../src/netfilter/rules/pods/nft'
import { addrList, type LinkAddr } from '../../src/netlink/addr'
import { type Neighbour, neighList } from '../../src/netlink/neigh'
import { type KernelRoute, type RejectingRoute, rejectingRoutes, routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { type NetworkConfigList, parseConfList } from '../../src/runtime/conf-list'
import { type CacheEntry, cachePath, listCacheEntries } from '../../src/runtime/result-cache'
import { type Iptables, readIptables } from './iptables'
import { type Lease, readLeases } from './leases'
import { type HostLink, hostLinkList, readShaping, type Shaping } from './links'
import { findNamespaces, type Insides, type Namespaces, readInsides } from './namespaces'
import { type BrokenFile, leftNetwork, type Network, readNetwork, readNetworks } from './networks'
import { type Ruleset, readRuleset } from './ruleset'

/** This host, in this boot, at this moment. Times are in milliseconds since the epoch. */
type Host = {
  readonly name: string
  readonly bootID: string
  readonly bootedAt: number
  readonly now: number
}

const uptimeMs = (): number => Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000

const readHost = (): Host => {
  const now = Date.now()
  return {
    name: readSysctl('kernel/hostname') ?? '',
    bootID: readBootID(),
    bootedAt: Math.round(now - uptimeMs()),
    now,
  }
}

/** The runtime's cached result of an attachment, and its time. */
export type CachedAttachment = CacheEntry & { readonly madeAt: number }

/** A claim of a host port: "tcp-8080/any4", and the key of the record of its holder. */
export type ClaimFile = { readonly claim: string; readonly holder: string }

/** A part of the node that could not be read, and why; without a remedy, root can read it. */
type Unread = { readonly what: string; readonly why: string; readonly remedy?: string }

type HostRoute = ReturnType<typeof routeList>[number] & Pick<KernelRoute, 'dst'>

/** A node as it was read. Undefined parts are not known; nothing may be concluded from its absence. */
export type Readings = {
  readonly host: Host
  readonly here: HostView
  readonly networks: readonly Network[]
  /** As the folder has them: without those that only leases or cached results tell of. */
  readonly lists: readonly NetworkConfigList[]
  readonly brokenFiles: readonly BrokenFile[]
  readonly leases: readonly Lease[]
  readonly cached: readonly CachedAttachment[]
  /** The containers whose loopback interface the runtime has attached. */
  readonly loopbacks: ReadonlySet<string>
  readonly portOwners: readonly PortOwner[]
  readonly claims: readonly ClaimFile[]
  readonly namespaces: Namespaces
  readonly insides: Insides | undefined
  readonly links: readonly HostLink[]
  readonly addrs: readonly LinkAddr[]
  readonly routes: readonly HostRoute[]
  readonly shaping: Shaping | undefined
  readonly neighbours: readonly Neighbour[]
  readonly rejecting: readonly RejectingRoute[]
  readonly ruleset: Ruleset | undefined
  /** The networks whose rules kubenet has in its table, all of them and as configured. */
  readonly framed: ReadonlySet<string>
  readonly iptables: readonly Iptables[] | undefined
  readonly unread: readonly Unread[]
}

/** Where a node keeps what a survey reads from files. */
export type SurveyPlaces = { readonly confDir: string; readonly cacheDir: string }

/** Called with the name of the next reading: "the leases", "network namespace 7 of 300". */
export type Tell = (what: string) => void

type Attempt = <T>(what: string, read: () => T, otherwise: T) => T

const reasonOf = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join(': ')
}

const attempting =
  (unread: Unread[], tell: Tell): Attempt =>
  (what, read, otherwise) => {
    tell(what)
    try {
      return read()
    } catch (error) {
      unread.push({ what, why: reasonOf(error) })
      return otherwise
    }
  }

/** containerd and CRI-O attach the loopback interface of each pod as a network of its own. It has nothing on the host. */
const isLoopback = ({ ifName }: CacheEntry): boolean => ifName === 'lo'

const readCached = (cacheDir: string): { cached: CachedAttachment[]; loopbacks: Set<string> } => {
  const entries = listCacheEntries(cacheDir)
  const cached = entries
    .filter(entry => !isLoopback(entry))
    .map(entry => ({
      ...entry,
      madeAt: lstatSync(cachePath(cacheDir, entry), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    }))
  return { cached, loopbacks: new Set(entries.filter(isLoopback).map(({ containerID }) => containerID)) }
}

const claimsFolder = `${hostportsFolder}/claims`

const readClaims = (): ClaimFile[] =>
  namesIn(claimsFolder).flatMap(port =>
    namesIn(`${claimsFolder}/${port}`).map(name => {
      const [where = '', holder = ''] = name.split('@')
      return { claim: `${port}/${where}`, holder }
    }),
  )

/** A network whose file is gone, as it was when a container was last attached. */
const cachedNetwork = ({ network, config }: CachedAttachment): Network => {
  try {
    return { ...readNetwork(parseConfList(config, network), false), file: undefined }
  } catch {
    return leftNetwork(network)
  }
}

/** The networks of the folder, and those that only attachments tell of. */
const allNetworks = (known: readonly Network[], cached: readonly CachedAttachment[]): Network[] => {
  const found = new Map(known.map(network => [network.name, network]))
  for (const entry of cached) {
    if (!found.has(entry.network)) found.set(entry.network, cachedNetwork(entry))
  }
  return [...found.values()]
}

const readFiles = (attempt: Attempt, { confDir, cacheDir }: SurveyPlaces, tell: Tell) => {
  const conf = attempt('the networks', () => readNetworks(confDir), { lists: [], networks: [], broken: [] })
  const { cached, loopbacks } = attempt('the cached results', () => readCached(cacheDir), {
    cached: [],
    loopbacks: new Set<string>(),
  })
  const networks = allNetworks(conf.networks, cached)
  const dataDirs = new Set([usualDataDir, ...networks.flatMap(({ ipam }) => ipam?.dataDir ?? [])])
  const { leases, unreadable } = attempt('the leases', () => readLeases([...dataDirs], tell), {
    leases: [],
    unreadable: 0,
  })
  for (const { network } of leases) {
    if (!networks.some(({ name }) => name === network)) networks.push(leftNetwork(network))
  }
  const portOwners = attempt('the owners of host ports', listOwners, [])
  const claims = attempt('the claims of host ports', readClaims, [])
  return { conf, cached, loopbacks, networks, leases, unreadable, portOwners, claims }
}

const readLinks = (attempt: Attempt, nl: NetlinkSocket, namespaces: Namespaces, tell: Tell) => ({
  links: attempt('the interfaces', () => hostLinkList(nl), []),
  addrs: attempt('the addresses', () => addrList(nl), []),
  routes: attempt('the routes', () => [...routeList(nl, 4), ...routeList(nl, 6)], []),
  neighbours: attempt('the neighbours', () => neighList(nl), []),
  rejecting: attempt('the routes', () => [...rejectingRoutes(nl, 4), ...rejectingRoutes(nl, 6)], []),
  shaping: attempt('the rates', () => readShaping(nl), undefined),
  insides: attempt('the network namespaces', () => readInsides(nl, namespaces, tell), undefined),
})

/** The networks whose part of kubenet's ruleset is whole. */
const readFrames = (networks: readonly Network[]): Set<string> => {
  const confs = networks.map(({ kubenet }) => kubenet).filter(conf => conf !== undefined)
  if (confs.length === 0) return new Set()
  const whole = ifNftables(nl => confs.filter(conf => hasAllBaseRules(nl, conf)))
  return new Set((whole ?? []).map(({ network }) => network))
}

const noRuleset: Ruleset = { tables: [], elements: [], masquerades: [], ports: [], spoofChecks: [] }

const tooFew = (count: number, what: string): Unread[] =>
  count === 0 ? [] : [{ what: `${count} ${what}`, why: 'permission denied' }]

/** Reads the node. Never throws for what it may not read; starts nothing but iptables-save, where there are rules. */
export const readNode = async (places: SurveyPlaces, tell: Tell = () => {}): Promise<Readings> => {
  const unread: Unread[] = []
  const attempt = attempting(unread, tell)
  const ruleset = attempt('nftables', () => ifNftables(readRuleset) ?? noRuleset, undefined)
  tell('iptables')
  const iptables = await readIptables(ruleset?.tables ?? []).catch(error => {
    unread.push({ what: 'iptables', why: reasonOf(error) })
    return undefined
  })
  for (const { family, unlisted } of iptables ?? []) {
    for (const table of unlisted)
      unread.push({ what: `the IPv${family} table ${table} of iptables`, ...unlistedTable(family, table) })
  }
  tell('the processes')
  const namespaces = findNamespaces()
  const kernel = withNetlink(NETLINK_ROUTE, nl => readLinks(attempt, nl, namespaces, tell))
  const { conf, unreadable, ...files } = readFiles(attempt, places, tell)
  unread.push(...tooFew(unreadable, 'leases'), ...tooFew(kernel.insides?.closed ?? 0, 'network namespaces'))
  const framed = ruleset
    ? attempt('nftables', () => readFrames(files.networks), new Set<string>())
    : new Set<string>()
  return {
    host: readHost(),
    here: thisHost(),
    ...files,
    framed,
    lists: conf.lists,
    brokenFiles: conf.broken,
    namespaces,
    ...kernel,
    ruleset,
    iptables,
    unread,
  }
}
