/** What a node has of a network's attachments, told by whose each object says it is. */

import { RecordStore } from '../../plugins/host-local/record'
import { LeaseStore } from '../../plugins/host-local/store'
import { formatPlaced } from '../../plugins/kubenet/elements'
import { listElements } from '../../plugins/kubenet/state'
import { listOwners } from '../../plugins/portmap/owners'
import { parseAlias } from '../../src/attachment/alias'
import { isOn } from '../../src/attachment/attachment'
import { parseContainerComment, parseHostportComment } from '../../src/attachment/iptables-names'
import { leaseKeyOf } from '../../src/attachment/lease'
import { usualDataDir } from '../../src/attachment/lease-files'
import { parseElementComment, parseMasqueradeComment } from '../../src/attachment/nft-comments'
import { CniError } from '../../src/cni/error'
import { isJsonObject } from '../../src/cni/schema'
import { parseAddr } from '../../src/ip/addr'
import { commentOf, iptablesSave } from '../../src/netfilter/iptables'
import { variantsInUse } from '../../src/netfilter/iptables-probe'
import { ruleList } from '../../src/netfilter/nft/read'
import { linkList } from '../../src/netlink/link'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { listCacheEntries } from '../../src/runtime/result-cache'
import type { Tell } from '../frame/progress'

/** A network namespace as it was when an attachment was made. */
export type RecordedNetns = { readonly path: string; readonly dev: number; readonly ino: number }

/** One object of an attachment. */
export type Found = {
  readonly containerID: string
  /** Undefined where the object names the container alone. */
  readonly ifName: string | undefined
  /** The object in words: "lease 10.244.1.2". */
  readonly object: string
  /** The path of the namespace, where that is all that is known. */
  readonly netns?: string | undefined
  readonly recorded?: RecordedNetns | undefined
  /** Is it the host's end of a veth? */
  readonly isConnection?: boolean
}

type Finder = (network: NetworkConfigList, cacheDir: string) => Found[] | Promise<Found[]>

const cachedResults: Finder = ({ name }, cacheDir) =>
  listCacheEntries(cacheDir)
    .filter(({ network }) => network === name)
    .map(({ containerID, ifName, netns }) => ({ containerID, ifName, netns, object: 'cached result' }))

/** The folders of leases that the network's plugins are configured with. */
const dataDirs = ({ plugins }: NetworkConfigList): string[] => {
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
      const recorded = record?.leases[address] === store.identity(address) ? record?.netns : undefined
      return [{ ...owner, object: `lease ${address}`, recorded }]
    })
}

const leases: Finder = network => dataDirs(network).flatMap(dataDir => leasesIn(dataDir, network.name))

const links: Finder = ({ name: network }) =>
  withNetlink(NETLINK_ROUTE, linkList).flatMap(({ name, kind, alias }) => {
    const id = parseAlias(alias)
    if (!id || !isOn(id, network)) return []
    return [{ ...id, object: `${kind} ${name}`, isConnection: kind === 'veth' }]
  })

const ports: Finder = ({ name }) =>
  listOwners()
    .filter(({ network }) => network === name)
    .map(({ containerID, ifName, claims, netns }) => ({
      containerID,
      ifName,
      object: `host port ${claims.join(', ')}`,
      recorded: netns,
    }))

const iptablesRules: Finder = async ({ name }) => {
  const found = new Map<string, Found>()
  for (const family of [4, 6] as const) {
    for (const variant of variantsInUse(family)) {
      for (const rule of (await iptablesSave(family, 'nat', variant)).rules) {
        const comment = commentOf(rule)
        const owner = parseContainerComment(comment) ?? parseHostportComment(comment)
        if (owner?.network !== name) continue
        const { containerID } = owner
        found.set(containerID, { containerID, ifName: undefined, object: 'iptables rules' })
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
    return owner ? [{ ...owner, object: `nftables element ${formatPlaced(placed)}` }] : []
  })

const finders: readonly (readonly [what: string, find: Finder])[] = [
  ['leases', leases],
  ['interfaces', links],
  ['host ports', ports],
  ['iptables rules', iptablesRules],
  ['nftables rules', nftablesRules],
  ['nftables elements', kubenetElements],
]

/** Everything found, and why some of it could not be looked for. */
export type Findings = { readonly found: readonly Found[]; readonly notes: readonly string[] }

/**
 * Looks for everything of a network that says whose it is, and tells what for. Changes nothing. Throws if the cached results can't be
 * read: without them the living can't be told from the dead.
 */
export const findObjects = async (
  network: NetworkConfigList,
  cacheDir: string,
  tell: Tell,
): Promise<Findings> => {
  tell('looking for cached results')
  const found: Found[] = [...(await cachedResults(network, cacheDir))]
  const notes: string[] = []
  for (const [what, find] of finders) {
    tell(`looking for ${what}`)
    try {
      found.push(...(await find(network, cacheDir)))
    } catch (error) {
      const { message, details } = CniError.from(error)
      notes.push(`${what} could not be looked for: ${[message, details].filter(Boolean).join(': ')}`)
    }
  }
  return { found, notes }
}
