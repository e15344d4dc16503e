/** Does the container of an attachment still live? The judgement of src/life, and what a survey guesses beyond it. */
import { subjectOf as subjectOfRecord } from '../../plugins/host-local/liveness'
import { subjectOf as subjectOfOwner } from '../../plugins/portmap/records'
import { type Claimant, claimantsOf, judgeLife, type Subject, type Verdict } from '../../src/life/judge'
import type { Draft } from './draft'
import { namespacePath } from './namespaces'
import type { Readings } from './readings'

/** "running": its namespace is there. "gone": it is not. "unknown": nothing tells for sure. */
type State = 'running' | 'gone' | 'unknown'

/** What a state is concluded from. Only what is `proven` may be cleaned up without asking. */
export type Judgement = { readonly state: State; readonly why: string; readonly proven: boolean }

/** What is younger is not judged: its runtime may be just putting the namespace in place. */
const graceMs = 60_000

const running = (why: string): Judgement => ({ state: 'running', why, proven: true })
const gone = (why: string, proven: boolean): Judgement => ({ state: 'gone', why, proven })
const unknown = (why: string): Judgement => ({ state: 'unknown', why, proven: false })

/** A namespace by its path alone, which is all a runtime remembers. */
const judgePath = (path: string, { namespaces, here }: Readings): Judgement => {
  const there = here.netnsAt(path)
  if (there === 'hidden') return unknown(`${path} can't be looked at`)
  if (there === 'nothing') return gone(`${path} is gone`, false)
  if (there.dev === namespaces.own.dev) return running(`${path} is there`)
  return gone(`${path} is no network namespace any more`, false)
}

/** A pair of which one end is here: a veth dies with the namespace its other end is in. */
const judgeVeth = ({ veth, container }: Draft): Judgement | undefined => {
  if (!veth || veth.peer === 0) return undefined
  if (container) return running(`${container.name} is in ${namespacePath(container.netns)}`)
  return veth.peerNsid === undefined ? undefined : running(`the other end of ${veth.name} is in a namespace`)
}

/** What was recorded of an attachment, the best first. */
const subjectsOf = ({ leases, portOwner, network }: Draft): Subject[] => [
  ...leases.flatMap(({ record }) => (record ? [subjectOfRecord(record, network)] : [])),
  ...(portOwner?.netns ? [subjectOfOwner(portOwner)] : []),
]

const judgementOf = ({ state, why }: Verdict): Judgement => {
  if (state === 'alive') return running(why)
  return state === 'dead' ? gone(why, true) : unknown(why)
}

/** Who has which namespace, by the records of leases and host ports. */
const claimantsIn = ({ leases, portOwners }: Readings): Claimant[] =>
  claimantsOf([
    ...leases.flatMap(({ record, network }) => (record ? [subjectOfRecord(record, network)] : [])),
    ...portOwners.map(subjectOfOwner),
  ])

/** Judges an attachment by the best evidence there is. */
export const judge = (draft: Draft, readings: Readings): Judgement => {
  const byVeth = judgeVeth(draft)
  if (byVeth) return byVeth
  const subject = subjectsOf(draft).find(({ netns, made }) => netns ?? made)
  const byRecord =
    subject &&
    judgementOf(judgeLife(subject, readings.here, { graceMs, claimants: () => claimantsIn(readings) }))
  const { cached } = draft
  if (byRecord && (subject.netns || byRecord.proven || !cached?.netns)) return byRecord
  if (cached?.netns) return judgePath(cached.netns, readings)
  if (draft.leases.length > 0 && readings.insides?.closed === 0 && readings.namespaces.complete) {
    return gone('no network namespace of the node has its address', false)
  }
  return draft.leases.length > 0
    ? unknown('nothing tells of its network namespace')
    : gone('nothing but this is left of it', false)
}
