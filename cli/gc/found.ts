/** The objects of a network's attachments on a node, by the owner that each names. */
import { subjectOf } from '../../plugins/host-local/liveness'
import { RecordStore } from '../../plugins/host-local/record'
import { LeaseStore } from '../../plugins/host-local/store'
import { listOwners, subjectOf as subjectOfOwner } from '../../plugins/portmap/records'
import { isOn } from '../../src/attachment/attachment'
import { parseAlias } from '../../src/attachment/interfaces'
import { parseContainerComment, parseHostportComment } from '../../src/attachment/iptables-names'
import { leaseKeyOf, usualDataDir } from '../../src/attachment/lease'
import { parseElementComment, parseMasqueradeComment } from '../../src/attachment/nft-comments'
import { CniError } from '../../src/cni/error'
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import { parseAddr } from '../../src/ip/addr'
import type { Subject } from '../../src/life/judge'
import { commentOf, iptablesSave } from '../../src/netfilter/iptables'
import { variantsInUse } from '../../src/netfilter/iptables-probe'
import { ruleList } from '../../src/netfilter/nft/read'
import { listElements } from '../../src/netfilter/rules/pods/nft'
import { formatPlaced } from '../../src/netfilter/rules/pods/nft-rules'
import { linkList } from '../../src/netlink/link'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { podInPairs } from '../../src/runtime/attachment'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { cachedAt, listCacheEntries } from '../../src/runtime/result-cache'
import type { Tell } from '../frame/progress'

/** One object of an attachment. */
export type Found = {
  readonly containerID: string
  /** Undefined where the object names the container alone. */
  readonly ifName: string | undefined
  /** The object in words: "lease 10.244.1.2". */
  readonly object: string
  /** The name Kubernetes has for it, where the object tells: "namespace/name". */
  readonly pod?: string | undefined
  /** The path of the namespace, where that is all that is known. */
  readonly netns?: string | undefined
  /** The records of the attachment. */
  readonly subject?: Subject | undefined
  /** Is it the host's end of a veth whose other end is in another namespace? */
  readonly isConnection?: boolean
  /** The attachment's interfaces on the host, by a cached result. */
  readonly hostEnds?: HostEnds | undefined
  /** Addresses that it says the attachment has. */
  readonly addresses?: readonly string[]
  /** When a lease was made, in milliseconds since the epoch. */
  readonly madeAt?: number | undefined
  /** When the file that it is, or is read from, was written; undefined for what no boot outlives. */
  readonly writtenAt?: number | undefined
  /** Is it made after others that say whose they are, too, so that alone it is what is left? */
  readonly isLast?: boolean
}

/** The bridge of an attachment, and the host's end of its veth. */
type HostEnds = { readonly bridge: string; readonly veth: string }

type Finder = (network: NetworkConfigList, cacheDir: string) => Found[] | Promise<Found[]>

/** The names of host interfaces in results of bridge and kubenet, ours and the reference's. */
const hostEndsIn = (result: JsonObject | undefined, type: string | undefined): HostEnds | undefined => {
  if (type !== 'bridge' && type !== 'kubenet') return undefined
  const interfaces = Array.isArray(result?.interfaces) ? result.interfaces.filter(isJsonObject) : []
  const [bridge, veth] = interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name)
  return typeof bridge === 'string' && typeof veth === 'string' ? { bridge, veth } : undefined
}

const cachedResults: Finder = ({ name, plugins }, cacheDir) =>
  listCacheEntries(cacheDir)
    .filter(({ network }) => network === name)
    .map(({ network, containerID, ifName, netns, args, result }) => ({
      containerID,
      ifName,
      pod: podInPairs(args),
      netns,
      hostEnds: hostEndsIn(result, plugins[0]?.type),
      writtenAt: cachedAt(cacheDir, { network, containerID, ifName }),
      object: 'cached result',
    }))

/** The folders of leases that the network's plugins are configured with. */
export const dataDirs = ({ plugins }: NetworkConfigList): string[] => {
  const textOr = (value: unknown) => (typeof value === 'string' && value !== '' ? value : usualDataDir)
  const found = plugins.flatMap(({ type, raw }) => {
    if (type === 'kubenet') return [textOr(raw.dataDir)]
    return isJsonObject(raw.ipam) && raw.ipam.type === 'host-local' ? [textOr(raw.ipam.dataDir)] : []
  })
  return [...new Set(found)]
}

const leasesIn = (dataDir: string, network: string): Found[] => {
  const store = new LeaseStore(dataDir, network)
  const records = new RecordStore(dataDir, network)
  if (!store.exists()) return []
  return [...store.names()]
    .filter(name => parseAddr(name))
    .flatMap(address => {
      const owner = store.read(address)
      if (!owner || owner === 'torn') return []
      const record = records.read(leaseKeyOf(owner))
      // A record may be of an earlier lease of the same address.
      const { identity, madeAt } = store.stamp(address) ?? {}
      const own = record?.leases[address] === identity ? record : undefined
      const subject = own && subjectOf(own, network)
      const object = `lease ${address}`
      return [{ ...owner, pod: own?.pod, object, addresses: [address], madeAt, writtenAt: madeAt, subject }]
    })
}

const leases: Finder = network => dataDirs(network).flatMap(dataDir => leasesIn(dataDir, network.name))

const links: Finder = ({ name: network }) =>
  withNetlink(NETLINK_ROUTE, linkList).flatMap(({ name, kind, alias, peerNetnsId }) => {
    const id = parseAlias(alias)
    if (!id || !isOn(id, network)) return []
    return [{ ...id, object: `${kind} ${name}`, isConnection: kind === 'veth' && peerNetnsId !== undefined }]
  })

const ports: Finder = ({ name }) =>
  listOwners()
    .filter(({ network }) => network === name)
    .map(owner => ({
      containerID: owner.containerID,
      ifName: owner.ifName,
      pod: owner.pod,
      object: `host port ${owner.claims.join(', ')}`,
      subject: subjectOfOwner(owner),
    }))

/** The container's address in a rule that is for one. */
const addressesIn = (rule: string): string[] => {
  const [, address] = /^-A POSTROUTING -s ([0-9a-f.:]+)\/(?:32|128) /.exec(rule) ?? []
  return address === undefined ? [] : [address]
}

const iptablesRules: Finder = async ({ name }) => {
  const found = new Map<string, Found>()
  for (const family of [4, 6] as const) {
    for (const variant of variantsInUse(family)) {
      for (const rule of (await iptablesSave(family, 'nat', variant)).rules) {
        const comment = commentOf(rule)
        const owner = parseContainerComment(comment) ?? parseHostportComment(comment)
        if (owner?.network !== name) continue
        const { containerID } = owner
        const addresses = [...(found.get(containerID)?.addresses ?? []), ...addressesIn(rule)]
        found.set(containerID, { containerID, ifName: undefined, object: 'iptables rules', addresses })
      }
    }
  }
  return [...found.values()]
}

const masqueradeTable = { family: 'inet', name: 'cni_plugins_masquerade' } as const

const nftablesRules: Finder = ({ name }) =>
  withNetlink(NETLINK_NETFILTER, nl => ruleList(nl, masqueradeTable, 'masq_checks')).flatMap(
    ({ comment }) => {
      const id = parseMasqueradeComment(comment)
      return id?.network === name ? [{ ...id, object: 'nftables rules' }] : []
    },
  )

const kubenetElements: Finder = ({ name }) =>
  withNetlink(NETLINK_NETFILTER, nl => listElements(nl, name)).flatMap(placed => {
    const owner = parseElementComment(placed.element.comment ?? '')
    return owner ? [{ ...owner, object: `nftables element ${formatPlaced(placed)}`, isLast: true }] : []
  })

/** Signs of life. */
const recordFinders: readonly (readonly [what: string, find: Finder])[] = [
  ['host ports', ports],
  ['interfaces', links],
  ['leases', leases],
]

/** The objects that an ADD makes last come first: who sees a part of one then sees what came before it, too. */
const finders: readonly (readonly [what: string, find: Finder])[] = [
  ['nftables elements', kubenetElements],
  ['nftables rules', nftablesRules],
  ['iptables rules', iptablesRules],
  ...recordFinders,
]

/** Everything found, and the failed searches with their reasons. */
type Findings = { readonly found: readonly Found[]; readonly notes: readonly string[] }

/**
 * Looks for everything of a network that says whose it is, and tells what for. Changes nothing. Throws if the cached results cannot be
 * read: without them the living cannot be told from the dead.
 */
export const findObjects = async (
  network: NetworkConfigList,
  cacheDir: string,
  tell: Tell,
): Promise<Findings> => {
  const found: Found[] = []
  const notes: string[] = []
  for (const [what, find] of finders) {
    tell(`looking for ${what}`)
    try {
      found.push(...(await find(network, cacheDir)))
    } catch (error) {
      const { message, details } = CniError.from(error)
      notes.push(`could not search for ${what}: ${[message, details].filter(Boolean).join(': ')}`)
    }
  }
  tell('looking for cached results')
  found.push(...(await cachedResults(network, cacheDir)))
  return { found, notes }
}

/** Looks again for what tells whether the attachments of a network live. */
export const findRecords = async (network: NetworkConfigList, cacheDir: string): Promise<Found[]> => {
  const found: Found[] = []
  for (const [, find] of recordFinders) found.push(...(await find(network, cacheDir)))
  return [...found, ...(await cachedResults(network, cacheDir))]
}
