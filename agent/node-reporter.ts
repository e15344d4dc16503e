/**
 * Tells the cluster where this node's network is not as the Node object says: by an event, and as long as pods are in
 * the way of a new range by the condition NetworkUnavailable. For that Kubernetes taints the node, so that no new pod
 * comes to it: it would get an address of the old range, to which no node has a route any more.
 */
import { type CredentialSource, readAccess } from './api/credentials'
import { ask } from './api/request'
import type { ClusterNode } from './cluster-node'
import { type Log, messageOf } from './log'
import type { NodeNetwork } from './node-network'

/** A condition of a Node, as far as it is compared and written. */
type NodeCondition = {
  readonly type: string
  readonly status: 'True' | 'False'
  /** One word, for programs. */
  readonly reason: string
  readonly message: string
}

/** What happened to a node; `reason` is one word. */
type NodeEvent = {
  readonly type: 'Warning' | 'Normal'
  readonly reason: string
  readonly message: string
}

type Target = {
  readonly credentials: CredentialSource
  readonly name: string
  readonly signal: AbortSignal
}

const patience = { connectMs: 4_000, answerMs: 10_000, idleMs: 10_000, totalMs: 15_000 }

const send = async (
  { credentials, signal }: Target,
  request: { readonly path: string; readonly method: string; readonly contentType: string },
  object: unknown,
): Promise<void> => {
  const { path, method, contentType } = request
  await ask({
    access: await readAccess(credentials, { answerMs: patience.answerMs, signal }),
    path,
    patience,
    signal,
    send: { method, contentType, text: JSON.stringify(object) },
    onData: () => {},
  })
}

/** Sets one condition of the node and leaves the others. */
const writeCondition = (target: Target, condition: NodeCondition): Promise<void> => {
  const now = new Date().toISOString()
  return send(
    target,
    {
      path: `/api/v1/nodes/${target.name}/status`,
      method: 'PATCH',
      contentType: 'application/strategic-merge-patch+json',
    },
    { status: { conditions: [{ ...condition, lastHeartbeatTime: now, lastTransitionTime: now }] } },
  )
}

/** An event's message has at most so many bytes. */
const maxMessage = 1024

/** Records an event about the node. Events about nodes are in the namespace "default", and have its name as their UID. */
const writeEvent = (target: Target, { type, reason, message }: NodeEvent): Promise<void> => {
  const now = new Date().toISOString()
  return send(
    target,
    { path: '/api/v1/namespaces/default/events', method: 'POST', contentType: 'application/json' },
    {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { generateName: `${target.name}.`, namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name: target.name, uid: target.name },
      type,
      reason,
      message: message.slice(0, maxMessage),
      source: { component: 'kubenet-agent', host: target.name },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    },
  )
}

type ReporterOptions = {
  readonly credentials: CredentialSource
  readonly nodeName: string
  readonly log: Log
}

const type = 'NetworkUnavailable'
/** By this a condition is known to be the agent's: a cloud's route controller has reasons of its own. */
const refusedReason = 'PodRangeRefused'
const acceptedReason = 'PodRangeAccepted'

/** The states that need an operator, and the reasons of their events. */
const troubles = new Map([
  ['refused', refusedReason],
  ['invalid', 'PodRangeInvalid'],
  ['failed', 'NetworkConfigurationFailed'],
])

/** The condition that the node should have; undefined where it is none of the agent's business. */
const wantedCondition = ({ state, reason }: NodeNetwork, node: ClusterNode): NodeCondition | undefined => {
  if (state === 'refused') return { type, status: 'True', reason: refusedReason, message: reason }
  const isOurs = node.networkUnavailable?.reason === refusedReason
  if (state !== 'ready' || !isOurs) return undefined
  return { type, status: 'False', reason: acceptedReason, message: reason }
}

const isSame = (a: NodeCondition, b: ClusterNode['networkUnavailable']): boolean =>
  a.status === b?.status && a.reason === b.reason && a.message === b.message

export class NodeReporter {
  readonly #options: ReporterOptions
  readonly #stop = new AbortController()
  #lastState = 'ready'
  #working: Promise<void> = Promise.resolve()
  #isBusy = false
  #told = ''

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  /** Reports the network's state after each comparison. A report that fails is repeated after the next one. */
  note(network: NodeNetwork, node: ClusterNode | undefined): void {
    if (!node || this.#isBusy) return
    const tasks: (() => Promise<void>)[] = []
    const condition = wantedCondition(network, node)
    if (condition && !isSame(condition, node.networkUnavailable))
      tasks.push(() => writeCondition(this.#target(), condition))
    const event = this.#eventOn(network)
    if (event) tasks.push(() => writeEvent(this.#target(), event))
    if (tasks.length === 0) return
    this.#isBusy = true
    this.#working = this.#run(tasks, network.state)
  }

  /** Gives up what is under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#working
  }

  #target() {
    const { credentials, nodeName } = this.#options
    return { credentials, name: nodeName, signal: this.#stop.signal }
  }

  #eventOn({ state, reason }: NodeNetwork): NodeEvent | undefined {
    if (state === this.#lastState) return undefined
    const trouble = troubles.get(state)
    if (trouble) return { type: 'Warning', reason: trouble, message: reason }
    return state === 'ready' && troubles.has(this.#lastState)
      ? { type: 'Normal', reason: acceptedReason, message: reason }
      : undefined
  }

  async #run(tasks: readonly (() => Promise<void>)[], state: string): Promise<void> {
    try {
      for (const task of tasks) await task()
      this.#lastState = state
      this.#told = ''
    } catch (error) {
      const text = messageOf(error)
      const { log } = this.#options
      if (!this.#stop.signal.aborted)
        log[text === this.#told ? 'debug' : 'warn'](
          'the state of the network could not be written to the API server',
          {
            error: text,
          },
        )
      this.#told = text
    } finally {
      this.#isBusy = false
    }
  }
}
