/**
 * The nodes that are known, each in its newest version. An API server sends events in order; one that lags behind
 * another, or a proxy that repeats itself, must not bring an old state back.
 */
import type { ClusterNode } from './cluster-node'

/**
 * Negative, zero or positive as version `a` is older than, equal to or newer than `b`; undefined if that is unknown.
 */
export const compareVersions = (a: string, b: string): number | undefined => {
  if (a === b) return 0
  const decimal = /^(0|[1-9]\d*)$/
  if (!decimal.test(a) || !decimal.test(b)) return undefined
  return a.length === b.length ? (a < b ? -1 : 1) : a.length - b.length
}

const isNewer = (version: string, than: string | undefined): boolean => {
  if (than === undefined) return true
  const order = compareVersions(version, than)
  return order === undefined || order > 0
}

/** How many deleted nodes are remembered: far more than are deleted while one late event is on its way. */
const mostTombstones = 4096

/** The effect of an event. */
type Outcome = { readonly before: ClusterNode | undefined; readonly isStale: boolean }

export class NodeStore {
  #nodes = new Map<string, ClusterNode>()
  /** Name → version of its deletion. */
  readonly #tombstones = new Map<string, string>()

  get size(): number {
    return this.#nodes.size
  }

  get(name: string): ClusterNode | undefined {
    return this.#nodes.get(name)
  }

  all(): Iterable<ClusterNode> {
    return this.#nodes.values()
  }

  /** Replaces everything by a whole list. */
  replace(nodes: readonly ClusterNode[]): void {
    this.#nodes = new Map(nodes.map(node => [node.name, node]))
    this.#tombstones.clear()
  }

  /** Takes over a node that was added or changed; one that is not newer than what is known is stale. */
  put(node: ClusterNode): Outcome {
    const before = this.#nodes.get(node.name)
    const isStale = !this.#isNews(node)
    if (!isStale) {
      this.#nodes.set(node.name, node)
      this.#tombstones.delete(node.name)
    }
    return { before, isStale }
  }

  /** Takes over a deletion, whose version is that of the deletion itself. */
  remove(node: ClusterNode): Outcome {
    const before = this.#nodes.get(node.name)
    const isStale = !this.#isNews(node)
    if (!isStale) {
      this.#nodes.delete(node.name)
      this.#addTombstone(node)
    }
    return { before, isStale }
  }

  #isNews({ name, resourceVersion }: ClusterNode): boolean {
    return isNewer(resourceVersion, this.#nodes.get(name)?.resourceVersion ?? this.#tombstones.get(name))
  }

  #addTombstone({ name, resourceVersion }: ClusterNode): void {
    this.#tombstones.delete(name)
    this.#tombstones.set(name, resourceVersion)
    const [oldest] = this.#tombstones.keys()
    if (this.#tombstones.size > mostTombstones && oldest !== undefined) this.#tombstones.delete(oldest)
  }
}
