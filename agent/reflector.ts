/**
 * Keeps a store of nodes as the API server has them: lists once, then watches from the version of that list on, and
 * takes the watch up again where it broke off. Only when the server has forgotten that version (410 Gone), or sent
 * something that cannot be read, does it list again. Failures are waited out, ever longer and not in step with others:
 * refusals long, silence short.
 */
import { isJsonObject } from '../src/cni/schema'
import type { CredentialSource } from './api/credentials'
import { listNodes, type WatchEvent, watchNodes } from './api/nodes'
import { isOfNoVersion, needsList, outcomeOf, streamError } from './api/request'
import { type ClusterNode, readNode } from './cluster-node'
import { type Log, messageOf } from './log'
import type { AgentMetrics } from './metrics'
import { compareVersions, NodeStore } from './node-store'
import { Backoff, monotonicSeconds, wait } from './wait'

/** The listener for changes of nodes. */
type NodeListener = {
  /** A whole list was taken over. */
  onList(): void
  /** One node came, changed or went: `before` or `after` is undefined then. */
  onChange(before: ClusterNode | undefined, after: ClusterNode | undefined): void
}

type ReflectorOptions = {
  readonly credentials: CredentialSource
  /** The one node to watch; undefined: all. */
  readonly name: string | undefined
  /** After how many seconds without a word the connection counts as dead. A server sends a bookmark every minute. */
  readonly idleSeconds: number
  readonly listener: NodeListener
  readonly log: Log
  readonly metrics: AgentMetrics
}

/**
 * The first wait and the longest after an answer that does not help. Five thousand nodes with one try each in 15 to
 * 30 s are 220 requests a second.
 */
const waitsOfRefusals = { firstMs: 500, longestMs: 30_000 }
/** The same while nothing answers: a try is free then, and a node should be in step soon after. */
const waitsOfOutages = { firstMs: 500, longestMs: 4_000 }
const connectMs = 4_000
const answerMs = 30_000
const listTotalMs = 300_000
/** The server is asked to end a watch after so many seconds, and up to as many more: all at once would be a crowd. */
const watchSeconds = 300
/** A watch that lived so long went well, however it ended. */
const healthySeconds = 10
/** The same failure is logged again after so many seconds. */
const tellAgainSeconds = 60

/** The reason why a watch ended, for the metrics. */
const reasonOf = (error: unknown): string => {
  const outcome = outcomeOf(error) ?? 'broken'
  return outcome === 'unknown version' ? 'refused' : outcome
}

/** How a list and a watch ended: after how many seconds, and whether the watch had begun. */
type Ended = { readonly failure: unknown; readonly hasOpened: boolean; readonly lasted: number }

/** Is a failure the server's word, or that of one in between? */
const isAnswer = (failure: unknown): boolean => !['idle', undefined].includes(outcomeOf(failure))

export class Reflector {
  readonly store = new NodeStore()
  readonly #options: ReflectorOptions
  readonly #refusals = new Backoff(waitsOfRefusals)
  readonly #outages = new Backoff(waitsOfOutages)
  /** Since when nothing answers; undefined while something does. */
  #awaySince: number | undefined
  /** Was the last watch refused because of its version, and no other has gone well since? */
  #isGoneAgain = false
  #told: { readonly error: string; readonly at: number } | undefined
  /** The version to go on from; undefined: a list is needed. */
  #version: string | undefined
  /** The newest version ever seen: what a list must not be older than. */
  #newest = '0'
  #heardAt = monotonicSeconds()
  #hasListed = false
  #isConnected = false

  constructor(options: ReflectorOptions) {
    this.#options = options
  }

  /** Has there been a list at all? */
  get hasListed(): boolean {
    return this.#hasListed
  }

  /** Is there a watch now? */
  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Seconds since the server last sent anything. */
  get silentSeconds(): number {
    return monotonicSeconds() - this.#heardAt
  }

  /** Runs until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const started = monotonicSeconds()
      let failure: unknown
      try {
        if (this.#version === undefined) this.#version = await this.#list(signal)
        await this.#watch(this.#version, signal)
      } catch (error) {
        failure = error
      }
      const hasOpened = this.#isConnected
      this.#isConnected = false
      if (signal.aborted) return
      const lasted = monotonicSeconds() - started
      this.#note(failure)
      const ms = this.#waitMs({ failure, hasOpened, lasted })
      if (failure !== undefined) this.#tell(failure, ms)
      await wait(ms, signal)
    }
  }

  /** How long to wait after a list and a watch that ended like this. */
  #waitMs({ failure, hasOpened, lasted }: Ended): number {
    if (!hasOpened && !isAnswer(failure)) {
      this.#awaySince ??= monotonicSeconds() - lasted
      // The time of a try in vain is a part of the wait.
      return Math.max(0, this.#outages.next() - lasted * 1000)
    }
    this.#answered()
    if (hasOpened && lasted >= healthySeconds) {
      this.#refusals.reset()
      this.#isGoneAgain = false
    }
    // The version is too old after every outage that is long enough, and a list puts that right.
    const isNewlyGone = isOfNoVersion(failure) && !this.#isGoneAgain
    if (isOfNoVersion(failure)) this.#isGoneAgain = true
    if (isNewlyGone || (failure === undefined && lasted >= healthySeconds)) return 0
    return this.#refusals.next()
  }

  /** Notes that the server replied, with whatever status. */
  #answered(): void {
    this.#outages.reset()
    if (this.#awaySince === undefined) return
    this.#told = undefined
    const awaySeconds = round(monotonicSeconds() - this.#awaySince)
    this.#awaySince = undefined
    this.#options.log.info('the API server answers again', { awaySeconds })
  }

  #tell(failure: unknown, ms: number): void {
    const { log } = this.#options
    const error = messageOf(failure)
    const isNews = this.#told?.error !== error || monotonicSeconds() - this.#told.at > tellAgainSeconds
    if (isNews) this.#told = { error, at: monotonicSeconds() }
    const fields = { error, retrySeconds: Math.round(ms / 100) / 10 }
    log[isNews ? 'warn' : 'debug']('the connection to the API server ended', fields)
  }

  /** Draws the consequences of a watch's or a list's end. */
  #note(failure: unknown): void {
    const { metrics } = this.#options
    if (failure === undefined) metrics.watchEnds.inc({ reason: 'ended' })
    else metrics.watchEnds.inc({ reason: reasonOf(failure) })
    if (needsList(failure)) this.#version = undefined
  }

  async #list(signal: AbortSignal): Promise<string> {
    try {
      return await this.#listFrom(this.#newest, signal)
    } catch (error) {
      if (!isOfNoVersion(error)) throw error
      // The server no longer has that version: it is too old, or the cluster's store was restored from a backup.
      return this.#listFrom(undefined, signal)
    }
  }

  async #listFrom(atLeast: string | undefined, signal: AbortSignal): Promise<string> {
    const { credentials, name, idleSeconds, metrics, log, listener } = this.#options
    const started = monotonicSeconds()
    const nodes: ClusterNode[] = []
    metrics.requests.inc({ verb: 'list' })
    const version = await listNodes({
      credentials,
      name,
      atLeast,
      signal,
      patience: { connectMs, answerMs, idleMs: idleSeconds * 1000, totalMs: listTotalMs },
      onItem: item => {
        this.#heardAt = monotonicSeconds()
        const node = this.#read(item)
        if (node) nodes.push(node)
      },
    })
    const seconds = monotonicSeconds() - started
    metrics.listSeconds.observe(seconds)
    this.store.replace(nodes)
    this.#newest = version
    this.#hasListed = true
    this.#heardAt = monotonicSeconds()
    this.#answered()
    log.info('listed nodes', { nodes: nodes.length, resourceVersion: version, seconds: round(seconds) })
    listener.onList()
    return version
  }

  async #watch(from: string, signal: AbortSignal): Promise<void> {
    const { credentials, name, idleSeconds, metrics } = this.#options
    metrics.requests.inc({ verb: 'watch' })
    const idleMs = idleSeconds * 1000
    await watchNodes({
      credentials,
      name,
      from,
      signal,
      seconds: Math.round(watchSeconds * (1 + Math.random())),
      patience: { connectMs, answerMs, idleMs, totalMs: undefined },
      onOpen: () => {
        this.#isConnected = true
        this.#heardAt = monotonicSeconds()
        this.#answered()
      },
      onEvent: event => this.#take(event),
    })
  }

  #read(object: unknown): ClusterNode | undefined {
    const { metrics, log, name } = this.#options
    const node = readNode(object)
    if (!node) {
      metrics.badObjects.inc({ kind: 'malformed' })
      log.warn('an object without name or version is skipped')
      return undefined
    }
    // A server that does not know the field selector would send them all.
    return name === undefined || node.name === name ? node : undefined
  }

  #take({ type, object }: WatchEvent): void {
    const { metrics } = this.#options
    this.#heardAt = monotonicSeconds()
    metrics.events.inc({ type: knownTypes.includes(type) ? type : 'other' })
    const version = isJsonObject(object.metadata) ? object.metadata.resourceVersion : undefined
    if (typeof version === 'string' && version !== '') {
      this.#refuseThePast(type, version)
      // A late event must not have the next watch begin in the past.
      if ((compareVersions(version, this.#version ?? '0') ?? 1) > 0) this.#version = version
      if ((compareVersions(version, this.#newest) ?? 1) > 0) this.#newest = version
    }
    if (type === 'BOOKMARK' || !knownTypes.includes(type)) return
    const node = this.#read(object)
    if (node) this.#takeNode(type, node)
  }

  /** A bookmark from before where the watch began: the cluster's store was put back, and what is known is undone. */
  #refuseThePast(type: string, version: string): void {
    if (type !== 'BOOKMARK' || (compareVersions(version, this.#version ?? '0') ?? 0) >= 0) return
    throw streamError(new Error(`the server is at version ${version}, before ${this.#version}`))
  }

  #takeNode(type: string, node: ClusterNode): void {
    const { listener, metrics } = this.#options
    const isDeletion = type === 'DELETED'
    const { before, isStale } = isDeletion ? this.store.remove(node) : this.store.put(node)
    if (isStale) metrics.badObjects.inc({ kind: 'stale' })
    else listener.onChange(before, isDeletion ? undefined : node)
  }
}

const knownTypes = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK']

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000
