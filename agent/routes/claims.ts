/** Which nodes claim which ranges. Pure; what comes of it is routes/route-table.ts. */
import type { Addr, Family } from '../../src/ip/addr'
import { type Cidr, cidrContains, formatCidr, networkOf } from '../../src/ip/cidr'
import type { ClusterNode } from '../cluster-node'

/** A range that a node says is its own. */
export type Claim = {
  readonly node: string
  /** When the node's object was made, as the API server wrote it. */
  readonly created: string
  readonly dst: Cidr
  readonly addresses: readonly Addr[]
}

/** The same order on every node of the cluster, whatever order they heard of the claims in. */
const isBefore = (a: Claim, b: Claim): boolean =>
  a.created === b.created ? a.node < b.node : a.created < b.created

export class Claims {
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
