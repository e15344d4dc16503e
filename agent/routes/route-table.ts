/**
 * Which routes this node should have: one to each range of every other node, by that node's address. Pure; the
 * kernel is routes/route-keeper.ts.
 */
import { type Addr, addrEquals, formatAddr } from '../../src/ip/addr'
import { type Cidr, cidrContains, cidrOverlaps, formatCidr } from '../../src/ip/cidr'
import type { ClusterNode } from '../cluster-node'

/** A route to a range of another node. */
export type NodeRoute = { readonly node: string; readonly dst: Cidr; readonly gw: Addr }

/** A range for which there is no route, and why. */
export type RouteProblem = { readonly node: string; readonly dst: Cidr; readonly reason: string }

type Claim = { readonly node: string; readonly dst: Cidr; readonly addresses: readonly Addr[] }

/** This node: what a route must not take away from it. */
export type Self = {
  readonly name: string
  readonly podCIDRs: readonly Cidr[]
  readonly addresses: readonly Addr[]
}

const isProblem = (route: NodeRoute | RouteProblem): route is RouteProblem => 'reason' in route

export class RouteTable {
  readonly #clusterCIDRs: readonly Cidr[]
  #self: Self
  /** Destination → the nodes that have it, by their names. More than one is a mistake, and told. */
  readonly #claims = new Map<string, Map<string, Claim>>()

  /** With `clusterCIDRs` only ranges inside of them are believed. */
  constructor(name: string, clusterCIDRs: readonly Cidr[]) {
    this.#self = { name, podCIDRs: [], addresses: [] }
    this.#clusterCIDRs = clusterCIDRs
  }

  /** Starts anew with these nodes. */
  replace(nodes: Iterable<ClusterNode>): void {
    this.#claims.clear()
    for (const node of nodes) this.change(undefined, node)
  }

  /** Takes over a node that came, changed or went; answers the destinations that may have another route now. */
  change(before: ClusterNode | undefined, after: ClusterNode | undefined): string[] {
    if ((before ?? after)?.name === this.#self.name) return this.#changeSelf(after)
    const touched = new Set<string>()
    for (const dst of before?.podCIDRs ?? []) {
      const key = formatCidr(dst)
      const claims = this.#claims.get(key)
      claims?.delete(before?.name ?? '')
      if (claims?.size === 0) this.#claims.delete(key)
      touched.add(key)
    }
    for (const dst of after?.podCIDRs ?? []) {
      const key = formatCidr(dst)
      const claims = this.#claims.get(key) ?? new Map<string, Claim>()
      claims.set(after?.name ?? '', { node: after?.name ?? '', dst, addresses: after?.addresses ?? [] })
      this.#claims.set(key, claims)
      touched.add(key)
    }
    return [...touched]
  }

  /** The destinations anybody has. */
  destinations(): Iterable<string> {
    return this.#claims.keys()
  }

  /** The route to a destination, or why there is none; undefined if nobody has it. */
  routeTo(key: string): NodeRoute | RouteProblem | undefined {
    const claims = this.#claims.get(key)
    if (!claims) return undefined
    // The same one on every node of the cluster, whatever order they heard of it in.
    const [first] = [...claims.keys()].sort()
    const claim = claims.get(first ?? '')
    if (!claim) return undefined
    const reason = this.#objection(claim)
    const { node, dst } = claim
    if (reason) return { node, dst, reason }
    const gw = claim.addresses.find(({ family }) => family === dst.addr.family)
    return gw
      ? { node, dst, gw }
      : { node, dst, reason: `the node has no InternalIP of IPv${dst.addr.family}` }
  }

  /** Every destination without a route, and the ranges that several nodes have. */
  problems(): RouteProblem[] {
    const found: RouteProblem[] = []
    for (const [key, claims] of this.#claims) {
      const route = this.routeTo(key)
      if (route && isProblem(route)) found.push(route)
      if (claims.size > 1 && route) {
        const names = [...claims.keys()].sort()
        found.push({ node: route.node, dst: route.dst, reason: `several nodes have it: ${names.join(', ')}` })
      }
    }
    return found
  }

  #changeSelf(self: ClusterNode | undefined): string[] {
    const { name } = this.#self
    this.#self = { name, podCIDRs: self?.podCIDRs ?? [], addresses: self?.addresses ?? [] }
    // What was in the way of a route may have been this node's own ranges, or be it now.
    return [...this.#claims.keys()]
  }

  /** Why a range of another node is not believed: whoever can write Node objects must not get this node's traffic. */
  #objection({ dst, addresses }: Claim): string | undefined {
    const within = (range: Cidr) => range.prefix <= dst.prefix && cidrContains(range, dst.addr)
    if (dst.prefix === 0) return 'it is all addresses there are'
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
