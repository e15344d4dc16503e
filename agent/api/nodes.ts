/** The two questions the agent asks of the API: which nodes there are, and what becomes of them. */
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import { type Access, type CredentialSource, readAccess } from './credentials'
import { ask, HttpStatus, type Patience, refusalOf, streamError } from './request'
import { LineReader, ListReader } from './streams'

/** All nodes, or one by its name. */
type NodeSelection = { readonly credentials: CredentialSource; readonly name: string | undefined }

/** A list's items go to `onItem` one by one; the answer is the version the whole list is of. */
type ListCall = NodeSelection & {
  /** Which versions will do; undefined: the newest only, which costs the API server most. */
  readonly atLeast: string | undefined
  readonly patience: Patience
  readonly signal: AbortSignal
  onItem(item: unknown): void
}

export type WatchEvent = { readonly type: string; readonly object: JsonObject }

type WatchCall = NodeSelection & {
  /** The version from which on events are wanted. */
  readonly from: string
  /** After how many seconds the server is to end the watch. */
  readonly seconds: number
  readonly patience: Patience
  readonly signal: AbortSignal
  onOpen(): void
  onEvent(event: WatchEvent): void
}

const pathOf = (name: string | undefined, query: Record<string, string>): string => {
  const search = new URLSearchParams(query)
  if (name !== undefined) search.set('fieldSelector', `metadata.name=${name}`)
  return `/api/v1/nodes?${search}`
}

const versionOf = (list: unknown): string => {
  const metadata = isJsonObject(list) ? list.metadata : undefined
  const version = isJsonObject(metadata) ? metadata.resourceVersion : undefined
  if (typeof version === 'string' && version !== '') return version
  throw new Error('the list of nodes has no resourceVersion')
}

/** From "0" on any state will do, however old; from any other version, that one or a newer. */
const versionQuery = (atLeast: string | undefined): Record<string, string> => {
  if (atLeast === undefined) return {}
  if (atLeast === '0') return { resourceVersion: '0' }
  return { resourceVersion: atLeast, resourceVersionMatch: 'NotOlderThan' }
}

const accessFor = ({ credentials, patience: { answerMs }, signal }: ListCall | WatchCall): Promise<Access> =>
  readAccess(credentials, { answerMs, signal })

/** Lists nodes. Nothing has been taken over if it rejects: `onItem` may have had a part of them. */
export const listNodes = async (call: ListCall): Promise<string> => {
  const reader = new ListReader(call.onItem)
  await ask({
    access: await accessFor(call),
    path: pathOf(call.name, versionQuery(call.atLeast)),
    patience: call.patience,
    signal: call.signal,
    onData: chunk => reader.push(chunk),
  })
  if (call.signal.aborted) throw new Error('stopped')
  return versionOf(reader.end())
}

const readEvent = (line: unknown): WatchEvent => {
  if (!isJsonObject(line) || typeof line.type !== 'string' || !isJsonObject(line.object)) {
    throw new Error('a line of the watch is no event')
  }
  return { type: line.type, object: line.object }
}

/** Watches nodes. Resolves when the server ends the watch, which is routine; of failures `needsList` tells more. */
export const watchNodes = async (call: WatchCall): Promise<void> => {
  const reader = new LineReader(line => {
    const event = readEvent(line)
    if (event.type === 'ERROR') throw refusalOf('watch nodes', HttpStatus.ok, event.object)
    call.onEvent(event)
  })
  await ask({
    access: await accessFor(call),
    path: pathOf(call.name, {
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: call.from,
      timeoutSeconds: String(call.seconds),
    }),
    patience: call.patience,
    signal: call.signal,
    onAnswer: call.onOpen,
    onData: chunk => {
      try {
        reader.push(chunk)
      } catch (cause) {
        throw streamError(cause)
      }
    },
  })
}
