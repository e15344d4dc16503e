/** Which containers a change of the node's pod ranges would leave behind. */

import { subjectOf } from '../../plugins/host-local/liveness'
import { containerWithPod } from '../../src/attachment/attachment'
import { parseResult } from '../../src/cni/result'
import { currentVersion } from '../../src/cni/version'
import { type Addr, formatAddr, parseAddr } from '../../src/ip/addr'
import { type Cidr, cidrContains } from '../../src/ip/cidr'
import { type HostView, thisHost } from '../../src/life/host-view'
import { judgeLife } from '../../src/life/judge'
import { podInPairs } from '../../src/runtime/attachment'
import { type CacheEntry, listCacheEntries } from '../../src/runtime/result-cache'
import { type Lease, readLeases } from '../survey/leases'

/** Where leases and cached results are, and of which network. */
type Attachments = { readonly network: string; readonly dataDir: string; readonly cacheDir: string }

/** An address that a container has. */
export type Held = {
  readonly containerID: string
  /** "namespace/name", where a record or a cached result tells. */
  readonly pod: string | undefined
  readonly address: string
}

/**
 * Has the lease's container certainly ended? From inside of the agent's own container that is only seen of those of
 * earlier boots, so that every other lease counts as one of a living container.
 */
const hasEnded = ({ record, network }: Lease, here: HostView): boolean =>
  record !== undefined && judgeLife(subjectOf(record, network), here).state === 'dead'

const cachedAddresses = ({ result }: CacheEntry): Addr[] => {
  try {
    return parseResult(result, currentVersion, 'a cached result').ips.map(({ address }) => address.addr)
  } catch {
    return [] // what cannot be read holds no address
  }
}

const leased = ({ network, dataDir }: Attachments): { held: Held[]; ended: Set<string> } => {
  const { leases } = readLeases([dataDir])
  const own = leases.filter(lease => lease.network === network)
  const here = thisHost()
  const ended = own.filter(lease => hasEnded(lease, here))
  const held = own.flatMap(lease =>
    lease.containerID === undefined || ended.includes(lease)
      ? []
      : [{ containerID: lease.containerID, pod: lease.record?.pod, address: lease.address }],
  )
  return { held, ended: new Set(ended.flatMap(({ containerID }) => containerID ?? [])) }
}

const isOutside = (address: string, ranges: readonly Cidr[]): boolean => {
  const addr = parseAddr(address)
  return addr !== undefined && !ranges.some(range => cidrContains(range, addr))
}

/** The containers with an address outside of `ranges`, by host-local's leases and by the runtime's cached results. */
export const strandedBy = (ranges: readonly Cidr[], attachments: Attachments): Held[] => {
  const { held, ended } = leased(attachments)
  const cached = listCacheEntries(attachments.cacheDir)
    .filter(({ network, containerID }) => network === attachments.network && !ended.has(containerID))
    .flatMap(entry => cachedAddresses(entry).map(addr => ({ entry, addr })))
  const found = new Map<string, Held>()
  for (const one of held) if (isOutside(one.address, ranges)) found.set(one.address, one)
  for (const { entry, addr } of cached) {
    if (ranges.some(range => cidrContains(range, addr))) continue
    const { containerID, args } = entry
    const address = formatAddr(addr)
    found.set(address, { containerID, pod: podInPairs(args) ?? found.get(address)?.pod, address })
  }
  // In an order of their own, not the folder's: who tells of them must not seem to have news.
  return [...found.values()].toSorted((a, b) => (a.address < b.address ? -1 : 1))
}

/** How many containers a refusal names. */
const mostNamed = 5

/** The first of them in words: `10.244.1.5 of c1 (default/web)`. */
export const describeHeld = (stranded: readonly Held[]): string =>
  stranded
    .slice(0, mostNamed)
    .map(held => `${held.address} of ${containerWithPod(held)}`)
    .join(', ')
