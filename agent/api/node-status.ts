/** What the agent writes to the API: a condition of its own node, and events about it. */
import { type CredentialSource, readAccess } from './credentials'
import { ask } from './request'

/** A condition of a Node, as far as it is compared and written. */
export type NodeCondition = {
  readonly type: string
  readonly status: 'True' | 'False'
  /** One word, for programs. */
  readonly reason: string
  readonly message: string
}

/** What happened to a node; `reason` is one word. */
export type NodeEvent = {
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
export const writeCondition = (target: Target, condition: NodeCondition): Promise<void> => {
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
export const writeEvent = (target: Target, { type, reason, message }: NodeEvent): Promise<void> => {
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
