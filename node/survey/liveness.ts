/** Does the container of an attachment still live? Judged by its veth, its recorded namespace, its boot. */
import { type Stats, statSync } from 'node:fs'
import type { AttachmentRecord } from '../../plugins/host-local/record'
import type { Draft } from './draft'
import { namespacePath } from './namespaces'
import type { Readings } from './readings'

/** "running": its namespace is there. "gone": it is not. "unknown": nothing tells for sure. */
export type State = 'running' | 'gone' | 'unknown'

/** What a state is concluded from. Only what is `proven` may be cleaned up without asking. */
export type Judgement = { readonly state: State; readonly why: string; readonly proven: boolean }

/** What is younger is not judged: its runtime may be just putting the namespace in place. */
export const graceMs = 60_000

const running = (why: string): Judgement => ({ state: 'running', why, proven: true })
const gone = (why: string, proven: boolean): Judgement => ({ state: 'gone', why, proven })
const unknown = (why: string): Judgement => ({ state: 'unknown', why, proven: false })

type RecordedNetns = { readonly path: string; readonly dev: number; readonly ino: number }

const statOf = (path: string): Stats | undefined => {
  try {
    return statSync(path)
  } catch {
    return undefined // the path of a process that has ended can't even be asked for
  }
}

/** Judges by the namespace that was recorded. `age` in milliseconds; undefined where no time was recorded. */
const judgeNetns = (netns: RecordedNetns, age: number | undefined, { namespaces }: Readings): Judgement => {
  const there = statOf(netns.path)
  if (there?.ino === netns.ino && there.dev === netns.dev)
    return running(`its namespace ${netns.path} is there`)
  const living = namespaces.byInode.get(netns.ino)
  if (living) return unknown(`${netns.path} is gone, its namespace lives on at ${namespacePath(living)}`)
  if (!namespaces.complete) return unknown(`${netns.path} is gone; not every process can be seen from here`)
  if (age !== undefined && age < graceMs) return unknown(`it was made ${Math.round(age / 1000)} s ago`)
  const why = there
    ? `${netns.path} is another namespace now than the one it had`
    : `its network namespace ${netns.path} is gone`
  return gone(why, true)
}

const judgeRecord = (record: AttachmentRecord, readings: Readings): Judgement | undefined => {
  const { host } = readings
  // Several hosts may share a folder; each can speak of its own containers only.
  if (record.host !== host.name) return unknown(`it was made on host "${record.host}"`)
  if (record.bootID !== host.bootID) return gone('it was made before this boot', true)
  return record.netns && judgeNetns(record.netns, host.now - record.time, readings)
}

/** A namespace by its path alone, which is all a runtime remembers. */
const judgePath = (path: string, { namespaces }: Readings): Judgement => {
  const there = statOf(path)
  if (there?.dev === namespaces.own.dev) return running(`its namespace ${path} is there`)
  const why = there ? `${path} is no network namespace any more` : `its network namespace ${path} is gone`
  return gone(why, false)
}

/** A pair of which one end is here: a veth dies with the namespace its other end is in. */
const judgeVeth = ({ veth, container }: Draft): Judgement | undefined => {
  if (!veth || veth.peer === 0) return undefined
  if (container) return running(`${container.name} is in ${namespacePath(container.netns)}`)
  return veth.peerNsid === undefined ? undefined : running(`the other end of ${veth.name} is in a namespace`)
}

/** Judges an attachment by the best evidence there is. */
export const judge = (draft: Draft, readings: Readings): Judgement => {
  const byVeth = judgeVeth(draft)
  if (byVeth) return byVeth
  const record = draft.leases.find(lease => lease.record)?.record
  const byRecord = record && judgeRecord(record, readings)
  if (byRecord) return byRecord
  const { portOwner, cached } = draft
  if (portOwner?.netns) return judgeNetns(portOwner.netns, undefined, readings)
  if (cached?.netns) return judgePath(cached.netns, readings)
  if (draft.leases.length > 0 && readings.insides?.closed === 0 && readings.namespaces.complete) {
    return gone('no network namespace of the node has its address', false)
  }
  return draft.leases.length > 0
    ? unknown('nothing tells of its network namespace')
    : gone('nothing but this is left of it', false)
}
