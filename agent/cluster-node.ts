/** The few parts of a Node object that a node's network depends on. */
import { isJsonObject, type JsonObject } from '../src/cni/schema'
import type { Addr, Family } from '../src/ip/addr'
import { addrEquals, parseAddr } from '../src/ip/addr'
import { type Cidr, cidrEquals, formatCidr, isNetwork, parseCidr } from '../src/ip/cidr'

/** A node of the cluster, as far as it is of interest. */
export type ClusterNode = {
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  /** When it was made, as the API server writes times: they compare as texts. */
  readonly created: string
  /** The ranges of its pods, at most one of each family. Empty until it has some. */
  readonly podCIDRs: readonly Cidr[]
  /** Why what stands in `spec.podCIDRs` is not in `podCIDRs`; undefined if all of it is. */
  readonly rangeProblem: string | undefined
  /** Its first InternalIP of each family. */
  readonly addresses: readonly Addr[]
  /** "containerd://2.0.1", as kubelet reports it; undefined if it has not. */
  readonly runtimeVersion: string | undefined
  /** How many pods kubelet may run; undefined if it has not said so. */
  readonly maxPods: number | undefined
  /** Its condition NetworkUnavailable; undefined if it has none. */
  readonly networkUnavailable:
    | { readonly status: string; readonly reason: string; readonly message: string }
    | undefined
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const objectAt = (object: JsonObject, key: string): JsonObject => {
  const value = object[key]
  return isJsonObject(value) ? value : {}
}

const listAt = (object: JsonObject, key: string): readonly unknown[] => {
  const value = object[key]
  return Array.isArray(value) ? value : []
}

/** `podCIDRs`, or the older `podCIDR` where that is all there is. */
const rangeTexts = (spec: JsonObject): unknown[] => {
  const several = listAt(spec, 'podCIDRs')
  if (several.length > 0) return [...several]
  return textOf(spec.podCIDR) === '' ? [] : [spec.podCIDR]
}

type Ranges = Pick<ClusterNode, 'podCIDRs' | 'rangeProblem'>

const readRanges = (spec: JsonObject): Ranges => {
  const podCIDRs: Cidr[] = []
  for (const text of rangeTexts(spec)) {
    const cidr = parseCidr(textOf(text))
    const problem = problemOf(cidr, podCIDRs)
    if (!cidr || problem)
      return { podCIDRs: [], rangeProblem: `pod range ${JSON.stringify(text)} ${problem}` }
    podCIDRs.push(cidr)
  }
  return { podCIDRs, rangeProblem: undefined }
}

const problemOf = (cidr: Cidr | undefined, others: readonly Cidr[]): string | undefined => {
  if (!cidr) return 'is not a network'
  if (!isNetwork(cidr)) return 'has host bits set'
  const { family } = cidr.addr
  if (others.some(({ addr }) => addr.family === family)) return `is a second one of IPv${family}`
  return undefined
}

const readAddresses = (status: JsonObject): Addr[] => {
  const found = new Map<Family, Addr>()
  for (const entry of listAt(status, 'addresses')) {
    if (!isJsonObject(entry) || entry.type !== 'InternalIP') continue
    const addr = parseAddr(textOf(entry.address))
    if (addr && !found.has(addr.family)) found.set(addr.family, addr)
  }
  return [...found.values()]
}

const readNetworkUnavailable = (status: JsonObject): ClusterNode['networkUnavailable'] => {
  const found = listAt(status, 'conditions').find(
    entry => isJsonObject(entry) && entry.type === 'NetworkUnavailable',
  )
  if (!isJsonObject(found)) return undefined
  return { status: textOf(found.status), reason: textOf(found.reason), message: textOf(found.message) }
}

/** Reads a Node object; undefined if it has no name or no version, so that nothing can be done with it. */
export const readNode = (value: unknown): ClusterNode | undefined => {
  if (!isJsonObject(value)) return undefined
  const metadata = objectAt(value, 'metadata')
  const name = textOf(metadata.name)
  const resourceVersion = textOf(metadata.resourceVersion)
  if (name === '' || resourceVersion === '') return undefined
  return {
    name,
    uid: textOf(metadata.uid),
    resourceVersion,
    created: textOf(metadata.creationTimestamp),
    ...readRanges(objectAt(value, 'spec')),
    addresses: readAddresses(objectAt(value, 'status')),
    runtimeVersion:
      textOf(objectAt(objectAt(value, 'status'), 'nodeInfo').containerRuntimeVersion) || undefined,
    maxPods: Number(textOf(objectAt(objectAt(value, 'status'), 'capacity').pods)) || undefined,
    networkUnavailable: readNetworkUnavailable(objectAt(value, 'status')),
  }
}

const sameLists = <T>(a: readonly T[], b: readonly T[], equal: (a: T, b: T) => boolean): boolean =>
  a.length === b.length && a.every((value, i) => b[i] !== undefined && equal(value, b[i]))

/** Do both have the same ranges in the same order? */
const sameRanges = (a: readonly Cidr[], b: readonly Cidr[]): boolean => sameLists(a, b, cidrEquals)

/** Do both mean the same for the network? Most events are about a node's health and images. */
export const isSameNetwork = (a: ClusterNode, b: ClusterNode): boolean =>
  sameRanges(a.podCIDRs, b.podCIDRs) &&
  a.rangeProblem === b.rangeProblem &&
  a.created === b.created &&
  a.runtimeVersion === b.runtimeVersion &&
  sameLists(a.addresses, b.addresses, addrEquals)

/** The ranges as people write them: "10.244.1.0/24,fd00:1::/64". */
export const formatRanges = (ranges: readonly Cidr[]): string => ranges.map(formatCidr).join(',')
