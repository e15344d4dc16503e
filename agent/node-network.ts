/**
 * The network configuration of this node, as its Node object says. It is written when the ranges come or change, and
 * again when another program has changed or removed the file. It is never removed because something is missing: pods
 * that run keep their network while the cluster is not to be had, or has forgotten the node.
 */
import { dirname } from 'node:path'
import {
  confDirNotes,
  conflistName,
  conflistOf,
  formatConflist,
  stageConflist,
  withoutNewPods,
} from '../node/conflist/conflist'
import { addressesFor, checkMtu, hasRoomForPods, type NetworkValues } from '../node/conflist/kubelet-flags'
import { listVersionFor } from '../node/conflist/list-version'
import { commitAll, removeLeftovers, syncFolder } from '../node/conflist/staged-file'
import { describeHeld, type Held, strandedBy } from '../node/conflist/stranded'
import { maxConfBytes } from '../src/cni/conf'
import { isJsonObject, type JsonObject } from '../src/cni/schema'
import type { SpecVersion } from '../src/cni/version'
import { readPlainFile } from '../src/host/plain-file'
import { type Cidr, cidrContains, cidrEquals, formatCidr, parseCidr } from '../src/ip/cidr'
import { removeFile } from '../src/runtime/durable-file'
import { type ClusterNode, formatRanges } from './cluster-node'
import { type Log, messageOf } from './log'
import type { AgentMetrics, networkStates } from './metrics'

type NetworkState = (typeof networkStates)[number]

export type NodeNetworkOptions = {
  readonly confDir: string
  readonly dataDir: string
  readonly cacheDir: string
  /** All that the Node object does not say. */
  readonly values: Omit<NetworkValues, 'podCidr' | 'cniVersion'> & {
    /** Undefined: the newest that the node's runtime knows. */
    readonly cniVersion: SpecVersion | undefined
  }
  /** May a change leave pods behind? */
  readonly allowCidrChange: boolean
  readonly log: Log
  readonly metrics: AgentMetrics
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** The ranges as kubenet has them in its configuration, or bridge in that of its IPAM plugin. */
const rangeTexts = (plugin: JsonObject): readonly unknown[] => {
  if (plugin.type === 'kubenet') return listOf(plugin.podCIDRs)
  const ranges = isJsonObject(plugin.ipam) ? listOf(plugin.ipam.ranges) : []
  return ranges.flatMap(listOf).map(range => (isJsonObject(range) ? range.subnet : undefined))
}

/** The ranges in a configuration that this agent, or `kubenet config`, wrote; undefined if there are none. */
const rangesIn = (text: string | undefined): Cidr[] | undefined => {
  try {
    const list: unknown = JSON.parse(text ?? '')
    const texts = listOf(isJsonObject(list) ? list.plugins : undefined)
      .filter(isJsonObject)
      .flatMap(rangeTexts)
    return texts.length === 0
      ? undefined
      : texts.flatMap(range => (typeof range === 'string' ? (parseCidr(range) ?? []) : []))
  } catch {
    return undefined // it is missing, or half written by hand
  }
}

/** Is each of the old ranges still there, or inside of a new one? Then no pod is left outside. */
const keepsAll = (before: readonly Cidr[], after: readonly Cidr[]): boolean =>
  before.every(old =>
    after.some(
      range => cidrEquals(old, range) || (range.prefix < old.prefix && cidrContains(range, old.addr)),
    ),
  )

/** What a node may run more pods than its ranges have addresses for. Pods of the host's network need none. */
const roomNotes = ({ podCIDRs, maxPods }: ClusterNode): string[] =>
  podCIDRs.flatMap(range => {
    const addresses = addressesFor(range)
    if (maxPods === undefined || addresses >= BigInt(maxPods)) return []
    return [
      `pod range ${formatCidr(range)} has ${addresses} addresses, and kubelet may run ${maxPods} pods: set kubelet's ` +
        `maxPods to ${addresses}, or give nodes larger ranges (kube-controller-manager's --node-cidr-mask-size)`,
    ]
  })

export class NodeNetwork {
  readonly path: string
  readonly #options: NodeNetworkOptions
  #state: NetworkState = 'waiting'
  #reason = 'the Node object of this node is not known yet'
  #noted: readonly string[] = []

  constructor(options: NodeNetworkOptions) {
    this.#options = options
    this.path = `${options.confDir}/${conflistName}`
  }

  get state(): NetworkState {
    return this.#state
  }

  /** Why the state is what it is. */
  get reason(): string {
    return this.#reason
  }

  /** Brings the file into line with the Node object, as far as that can be done. Never throws. */
  apply(node: ClusterNode | undefined): void {
    try {
      if (!node) this.#enter('waiting', 'the cluster has no such node')
      else if (node.rangeProblem) this.#enter('invalid', node.rangeProblem)
      else if (node.podCIDRs.length === 0) this.#enter('waiting', 'the node has no pod range yet')
      else this.#applyIfUsable(node)
    } catch (error) {
      this.#enter('failed', messageOf(error))
    }
    this.#noteOthers(node)
  }

  /** Removes the file, for good. */
  remove(): void {
    removeFile(this.path)
    syncFolder(this.#options.confDir)
    this.#options.log.info('network configuration removed', { file: this.path })
  }

  #applyIfUsable(node: ClusterNode): void {
    const ranges = node.podCIDRs
    checkMtu(this.#options.values.networkPluginMtu, ranges)
    const small = ranges.find(range => !hasRoomForPods(range))
    if (small) this.#enter('invalid', `pod range ${formatCidr(small)} has no room for pods`)
    else this.#applyRanges(node)
  }

  #applyRanges({ podCIDRs: ranges, runtimeVersion }: ClusterNode): void {
    const { values } = this.#options
    const found = readPlainFile(this.path, { maxBytes: maxConfBytes })
    const before = rangesIn(found)
    const stranded = before && !keepsAll(before, ranges) ? this.#stranded(ranges) : []
    if (stranded.length > 0 && !this.#options.allowCidrChange) {
      const change = `from ${formatRanges(before ?? [])} to ${formatRanges(ranges)}`
      this.#refuse(change, stranded)
      this.#refuseNewPods(found ?? '', change)
      return
    }
    const runtimes = runtimeVersion === undefined ? [] : [runtimeVersion]
    const { cniVersion, because } =
      values.cniVersion === undefined
        ? listVersionFor({ runtimes, reference: values.reference })
        : { cniVersion: values.cniVersion, because: 'of --cni-version' }
    this.#write(formatConflist(conflistOf({ ...values, cniVersion, podCidr: ranges })), {
      podCIDRs: ranges.map(formatCidr),
      cniVersion,
      because,
      ...(before && { before: before.map(formatCidr) }),
      ...(stranded.length > 0 && { leftBehind: stranded.length }),
    })
    this.#enter('ready', `pods get addresses of ${formatRanges(ranges)}`)
  }

  /** Puts the text in place, unless it is there, and logs it with `fields`. */
  #write(text: string, fields: Record<string, unknown>): void {
    const { confDir, metrics, log } = this.#options
    const { staged } = stageConflist({ confDir, text, create: true })
    if (staged === 'unchanged') return
    commitAll([staged], [dirname(this.path)])
    removeLeftovers(confDir)
    metrics.conflistWrites.inc()
    log.info('network configuration written', { file: this.path, ...fields })
  }

  #stranded(ranges: readonly Cidr[]): Held[] {
    const { values, dataDir, cacheDir } = this.#options
    return strandedBy(ranges, { network: values.name, dataDir, cacheDir })
  }

  /** A drain leaves pods of DaemonSets, and what lost its DEL keeps its address. */
  #wayOut(): string {
    return (
      'drain the node, delete the pods of DaemonSets that still have old addresses, and run ' +
      `"kubenet gc ${this.#options.values.name} --yes --all" for containers that ended`
    )
  }

  #refuse(change: string, stranded: readonly Held[]): void {
    const some = describeHeld(stranded)
    this.#enter(
      'refused',
      `the ranges change ${change}, which leaves ${stranded.length} addresses of running pods ` +
        `behind (${some}); ${this.#wayOut()}, or use --allow-cidr-change`,
    )
  }

  /**
   * Lets kubenet refuse new pods: no node has a route to addresses of the old ranges. A pod that was bound to the node
   * by its name comes in spite of the condition. The reason names no pods, so that the file changes once.
   */
  #refuseNewPods(found: string, change: string): void {
    const reason =
      `the node's pod ranges change ${change}, and pods with addresses of the old ones run: new addresses of those lead ` +
      `nowhere; ${this.#wayOut()}, then pods get addresses of the new ones, or start kubenet-agent with --allow-cidr-change`
    try {
      const text = withoutNewPods(found, reason)
      if (text !== undefined) this.#write(text, { noNewPods: reason })
    } catch (error) {
      this.#options.log.error('new pods could not be refused', { error: messageOf(error) })
    }
  }

  /** Says, once, what else in the folder is in the way, and which range is too small. */
  #noteOthers(node: ClusterNode | undefined): void {
    const { confDir, values, log } = this.#options
    const notes = [...confDirNotes(confDir, values.name), ...(node ? roomNotes(node) : [])]
    for (const note of notes) if (!this.#noted.includes(note)) log.warn(note)
    this.#noted = notes
  }

  #enter(state: NetworkState, reason: string): void {
    if (state === this.#state && reason === this.#reason) return
    this.#state = state
    this.#reason = reason
    const { log } = this.#options
    const level = state === 'ready' ? 'info' : state === 'failed' ? 'error' : 'warn'
    log[level]('the network of this node', { state, reason })
  }
}
