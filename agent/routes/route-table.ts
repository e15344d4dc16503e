/**
 * Which routes this node should have: one to each range of every other node, by that node's address. Pure; the
 * kernel is routes/route-keeper.ts.
 */
import { type Addr, addrEquals, type Family, formatAddr } from '../../src/ip/addr'
import { type Cidr, cidrContains, cidrOverlaps, formatCidr, networkOf } from '../../src/ip/cidr'
import type { ClusterNode } from '../cluster-node'

/** A range that a node says is its own. */
type Claim = {
  readonly node: string
  /** When the node's object was made, as the API server wrote it. */
  readonly created: string
  readonly dst: Cidr
  readonly addresses: readonly Addr[]
}

/** The same order on every node of the cluster, in whatever order the claims arrived. */
const isBefore = (a: Claim, b: Claim): boolean =>
  a.created === b.created ? a.node < b.node : a.created < b.created

/** Which nodes claim which ranges. */
class Claims {
  /** By destination, then by the node's name. */
  readonly #byRange = new Map<string, Map<string, Claim>>()
  /** The ranges of each prefix length of a family. Most clusters have one length, so nothing must be compared. */
  readonly #byLength = new Map<string, Map<string, Cidr>>()

  clear(): void {
    this.#byRange.clear()
    this.#byLength.clear()
  }

  /** The destinations that any node claims. */
  destinations(): IterableIterator<string> {
    return this.#byRange.keys()
  }

  /** Notes the ranges of a node. Answers the destinations that may have another route now. */
  add({ name, created, podCIDRs, addresses }: ClusterNode): string[] {
    for (const dst of podCIDRs) {
      const key = formatCidr(dst)
      const claims = this.#byRange.get(key) ?? new Map<string, Claim>()
      claims.set(name, { node: name, created, dst, addresses })
      this.#byRange.set(key, claims)
      const length = lengthKey(dst.addr.family, dst.prefix)
      const sameLength = this.#byLength.get(length) ?? new Map<string, Cidr>()
      this.#byLength.set(length, sameLength.set(key, dst))
    }
    return podCIDRs.flatMap(dst => [formatCidr(dst), ...this.#overlapping(dst)])
  }

  /** Forgets the ranges of a node. Answers the destinations that may have another route now. */
  remove({ name, podCIDRs }: ClusterNode): string[] {
    for (const dst of podCIDRs) {
      const key = formatCidr(dst)
      const claims = this.#byRange.get(key)
      claims?.delete(name)
      if (claims?.size !== 0) continue
      this.#byRange.delete(key)
      const length = lengthKey(dst.addr.family, dst.prefix)
      const sameLength = this.#byLength.get(length)
      sameLength?.delete(key)
      if (sameLength?.size === 0) this.#byLength.delete(length)
    }
    return podCIDRs.flatMap(dst => [formatCidr(dst), ...this.#overlapping(dst)])
  }

  /** The claims of a destination, the first one first. */
  of(key: string): Claim[] {
    return [...(this.#byRange.get(key)?.values() ?? [])].sort((a, b) => (isBefore(a, b) ? -1 : 1))
  }

  /**
   * The claim of another node on a part of this range, or on more than it, that comes before this one. A node's object
   * gets its range once and keeps it, so the older object is the one whose pods were there first. An implausible claim,
   * such as one of all addresses, blocks no other.
   */
  before(claim: Claim, isBelieved: (other: Claim) => boolean): Claim | undefined {
    return this.#overlapping(claim.dst)
      .flatMap(key => this.of(key).slice(0, 1))
      .find(other => other.node !== claim.node && isBefore(other, claim) && isBelieved(other))
  }

  /** The destinations of other lengths that lie in this range or around it. */
  #overlapping({ addr, prefix }: Cidr): string[] {
    const found: string[] = []
    for (const [length, ranges] of this.#byLength) {
      const { family, prefix: other } = parseLengthKey(length)
      if (family !== addr.family || other === prefix) continue
      if (other < prefix) {
        const around = formatCidr(networkOf({ addr, prefix: other }))
        if (ranges.has(around)) found.push(around)
      } else {
        for (const [key, range] of ranges) if (cidrContains({ addr, prefix }, range.addr)) found.push(key)
      }
    }
    return found
  }
}

const lengthKey = (family: Family, prefix: number): string => `${family}/${prefix}`

const parseLengthKey = (key: string): { family: Family; prefix: number } => ({
  family: key.startsWith('4') ? 4 : 6,
  prefix: Number(key.slice(2)),
})

/** A route to a range of another node. */
export type NodeRoute = { readonly node: string; readonly dst: Cidr; readonly gw: Addr }

/** A range for which there is no route, and why. */
export type RouteProblem = { readonly node: string; readonly dst: Cidr; readonly reason: string }

/** This node: what a route must not remove from it. */
type Self = {
  readonly name: string
  readonly podCIDRs: readonly Cidr[]
  readonly addresses: readonly Addr[]
}

const isProblem = (route: NodeRoute | RouteProblem): route is RouteProblem => 'reason' in route

export class RouteTable {
  readonly #clusterCIDRs: readonly Cidr[]
  #self: Self
  readonly #claims = new Claims()

  /** With `clusterCIDRs` only ranges inside of them are believed. */
  constructor(name: string, clusterCIDRs: readonly Cidr[]) {
    this.#self = { name, podCIDRs: [], addresses: [] }
    this.#clusterCIDRs = clusterCIDRs
  }

  /** Starts again with these nodes. */
  replace(nodes: Iterable<ClusterNode>): void {
    this.#claims.clear()
    for (const node of nodes) {
      if (node.name === this.#self.name) this.#changeSelf(node)
      else this.#claims.add(node)
    }
  }

  /** Takes over a node that came, changed or went; answers the destinations that may have another route now. */
  change(before: ClusterNode | undefined, after: ClusterNode | undefined): string[] {
    if ((before ?? after)?.name === this.#self.name) return this.#changeSelf(after)
    const touched = [
      ...(before ? this.#claims.remove(before) : []),
      ...(after ? this.#claims.add(after) : []),
    ]
    return [...new Set(touched)]
  }

  /** The destinations of all nodes. */
  destinations(): Iterable<string> {
    return this.#claims.destinations()
  }

  /** The route to a destination, or why there is none; undefined if no node has it. */
  routeTo(key: string): NodeRoute | RouteProblem | undefined {
    const [claim] = this.#claims.of(key)
    if (!claim) return undefined
    const { node, dst } = claim
    const reason = this.#objection(claim) ?? this.#conflict(claim)
    if (reason) return { node, dst, reason }
    const gw = claim.addresses.find(({ family }) => family === dst.addr.family)
    return gw
      ? { node, dst, gw }
      : { node, dst, reason: `the node has no InternalIP of IPv${dst.addr.family}` }
  }

  /** Every destination without a route, on this node or on the others, and the ranges that several nodes have. */
  problems(): RouteProblem[] {
    const found: RouteProblem[] = this.#unreachable()
    for (const key of this.#claims.destinations()) {
      const route = this.routeTo(key)
      if (route && isProblem(route)) found.push(route)
      const [first, ...others] = this.#claims.of(key)
      if (!first || others.length === 0) continue
      const names = [first, ...others].map(({ node }) => node)
      found.push({ node: first.node, dst: first.dst, reason: `several nodes have it: ${names.join(', ')}` })
    }
    return found
  }

  /** The ranges of this node that no other has a route to, for want of an address. */
  #unreachable(): RouteProblem[] {
    const { name, podCIDRs, addresses } = this.#self
    return podCIDRs
      .filter(({ addr }) => !addresses.some(({ family }) => family === addr.family))
      .map(dst => ({
        node: name,
        dst,
        reason: `this node has no InternalIP of IPv${dst.addr.family}: no other node can have a route to its pods`,
      }))
  }

  #changeSelf(self: ClusterNode | undefined): string[] {
    const { name } = this.#self
    this.#self = { name, podCIDRs: self?.podCIDRs ?? [], addresses: self?.addresses ?? [] }
    // This node's own ranges may have blocked a route, or block it now.
    return [...this.#claims.destinations()]
  }

  /**
   * Why a range that overlaps another node's gets no route: a route to a part of a range would take the traffic of its
   * pods. The node that was there first keeps its own.
   */
  #conflict(claim: Claim): string | undefined {
    const other = this.#claims.before(claim, candidate => this.#objection(candidate) === undefined)
    return other && `it overlaps ${formatCidr(other.dst)}, the range of the older node "${other.node}"`
  }

  /** Why a range of another node is refused: a client that can write Node objects must not get this node's traffic. */
  #objection({ dst, addresses }: Claim): string | undefined {
    const within = (range: Cidr) => range.prefix <= dst.prefix && cidrContains(range, dst.addr)
    if (dst.prefix === 0) return 'it contains all addresses'
    const cluster = this.#clusterCIDRs
    if (cluster.length > 0 && !cluster.some(within)) return 'it is outside of --cluster-cidr'
    const own = this.#self.podCIDRs.find(range => cidrOverlaps(range, dst))
    if (own) return `it overlaps ${formatCidr(own)}, the range of this node`
    const mine = [...this.#self.addresses, ...addresses].find(addr => cidrContains(dst, addr))
    if (mine) return `${formatAddr(mine)}, the address of a node, is in it`
    const same = addresses.find(addr => this.#self.addresses.some(other => addrEquals(addr, other)))
    return same && `the node has the address of this one, ${formatAddr(same)}`
  }
}

/** Is there a route, and not only a problem? */
export const isRoute = (found: NodeRoute | RouteProblem | undefined): found is NodeRoute =>
  found !== undefined && !isProblem(found)
