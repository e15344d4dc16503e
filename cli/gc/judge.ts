/** Which of a network's attachments are of containers that live. */

import { statSync } from 'node:fs'
import { findNamespaces, readInsides } from '../../node/survey/namespaces'
import { type InterfaceID, shortName } from '../../src/attachment/attachment'
import { type HostView, once, thisHost } from '../../src/life/host-view'
import { type Claimant, claimantsOf, judgeLife, type Subject, type Verdict } from '../../src/life/judge'
import { linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import type { Found } from './found'

/** All that a node has of one attachment. */
type KnownAttachment = {
  readonly containerID: string
  /** Undefined where nothing names an interface, only the container. */
  readonly ifName: string | undefined
  /** The name Kubernetes has for it, where anything of it tells. */
  readonly pod: string | undefined
  readonly objects: readonly string[]
  readonly parts: readonly Found[]
}

/** An attachment, and why it is to be kept or not. Only who is proven dead is not valid. */
export type Judged = KnownAttachment & { readonly valid: boolean; readonly why: string }

/** The evidence for judging attachments. */
export type Evidence = {
  readonly here: HostView
  /** Is it a network namespace, and not a file that was left in its place? */
  isNetns(dev: number): boolean
  /** Is there an interface of that name on the host? */
  hasInterface(name: string): boolean
  /** Has no network namespace that is linked with the host the address? False where not all can be looked into. */
  isNowhere(address: string): boolean
  /** The owners of namespaces, by the records: the kernel uses their numbers again. */
  claimants(): readonly Claimant[]
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)]

/** Finds the ID of a container by what objects call it that have no room for a long one. */
const wholeIDs = (found: readonly Found[]): ((containerID: string) => string) => {
  const long = found.filter(({ containerID }) => containerID !== shortName(containerID))
  const whole = new Map(long.map(({ containerID }) => [shortName(containerID), containerID]))
  return containerID => whole.get(containerID) ?? containerID
}

/** Puts together what belongs to the same interface of the same container, in the order it was found. */
export const groupByAttachment = (found: readonly Found[]): KnownAttachment[] => {
  const groups = new Map<string, [Found, ...Found[]]>()
  const wholeID = wholeIDs(found)
  for (const part of found) {
    const key = `${wholeID(part.containerID)} ${part.ifName ?? ''}`
    const group = groups.get(key)
    if (group) group.push(part)
    else groups.set(key, [part])
  }
  return [...groups.values()].map(parts => {
    const [{ ifName }] = parts
    const containerID = wholeID(parts[0].containerID)
    const pod = parts.find(part => part.pod)?.pod
    return { containerID, ifName, pod, objects: unique(parts.map(({ object }) => object)), parts }
  })
}

/** Between a lease and the interface that has its address an ADD takes less than this, in milliseconds. */
const addMs = 60_000

/** Are the addresses of an attachment on no interface? A lease is older than the interface: a young one proves nothing. */
const isNowhere = ({ parts }: KnownAttachment, { here, isNowhere: nowhere }: Evidence): boolean => {
  const addresses = parts.flatMap(part => part.addresses ?? [])
  const ages = parts.flatMap(({ madeAt }) => (madeAt === undefined ? [] : [here.now() - madeAt]))
  return addresses.length > 0 && addresses.every(nowhere) && ages.every(age => age < 0 || age > addMs)
}

/** Is the veth of a cached result gone from this host, which is the one that it was on? */
const isCutOff = ({ parts }: KnownAttachment, { hasInterface }: Evidence): boolean =>
  parts.some(({ hostEnds }) => hostEnds && hasInterface(hostEnds.bridge) && !hasInterface(hostEnds.veth))

/**
 * Is all there is of an attachment in files that were written before this boot? No container outlives one. A process
 * that does not see all of the node may have another /run, and finds no proof in it.
 */
const isOfEarlierBoot = ({ parts }: KnownAttachment, { here, hasInterface }: Evidence): boolean =>
  parts.every(({ writtenAt }) => writtenAt !== undefined && writtenAt < here.startOfBoot()) &&
  !parts.some(({ hostEnds }) => hostEnds && hasInterface(hostEnds.veth)) &&
  here.holders(undefined).blind === undefined

/** Objects whose record is written before them: without one it is what a DEL that was killed has left. */
const isRest = ({ parts }: KnownAttachment): boolean => parts.every(({ isLast }) => isLast)

/** Judges by what is there where nothing was recorded of its namespace but, at most, a path. */
const judgeUnrecorded = (attachment: KnownAttachment, evidence: Evidence): Verdict => {
  const { parts } = attachment
  const path = parts.find(({ netns }) => netns)?.netns
  const there = path === undefined ? 'nothing' : evidence.here.netnsAt(path)
  if (there === 'hidden') return { state: 'unknown', why: `${path} cannot be read` }
  if (typeof there === 'object' && evidence.isNetns(there.dev))
    return { state: 'alive', why: `${path} is there` }
  // A veth goes with the namespace of either end: the container's is still there, wherever.
  if (parts.some(part => part.isConnection))
    return { state: 'alive', why: 'its interface leads to a namespace' }
  const lost = there === 'nothing' ? `${path} is gone` : `${path} is no network namespace any more`
  const why = path === undefined ? 'its network namespace is unknown' : lost
  if (isCutOff(attachment, evidence)) return { state: 'dead', why: `${why}, and its veth on the host too` }
  if (isOfEarlierBoot(attachment, evidence))
    return { state: 'dead', why: `${why}, and all that is left was written before this boot` }
  if (isNowhere(attachment, evidence))
    return { state: 'dead', why: path === undefined ? 'no network namespace has its address' : why }
  if (path === undefined && isRest(attachment)) return { state: 'dead', why: 'nothing else is left of it' }
  return {
    state: 'unknown',
    why: path === undefined ? why : `${why}; the container may still run elsewhere`,
  }
}

const judgeOne = (attachment: KnownAttachment, evidence: Evidence): Verdict => {
  const { parts } = attachment
  const subjects = parts.flatMap(({ subject }) => (subject?.netns || subject?.made ? [subject] : []))
  const cutOff = isCutOff(attachment, evidence)
  const verdicts = subjects.map((subject: Subject) =>
    judgeLife(subject, evidence.here, { claimants: evidence.claimants, isCutOff: cutOff }),
  )
  const alive = verdicts.find(({ state }) => state === 'alive')
  if (alive) return alive
  const recorded = subjects.map(({ netns }) => netns?.path)
  const cached = parts.find(({ netns }) => netns)?.netns
  // A cached path without a record is all there is where the reference gave out the address.
  if (verdicts.length === 0) return judgeUnrecorded(attachment, evidence)
  if (cached !== undefined && !recorded.includes(cached)) {
    const byPath = judgeUnrecorded(attachment, evidence)
    if (byPath.state === 'alive') return byPath
  }
  const doubtful = verdicts.find(({ state }) => state === 'unknown')
  if (!doubtful) return verdicts[0] ?? judgeUnrecorded(attachment, evidence)
  const unrecorded = subjects.every(({ netns }) => netns === undefined)
  return unrecorded ? judgeUnrecorded(attachment, evidence) : doubtful
}

/** Judges attachments; those in `named` are valid whatever there is of them. */
export const judge = (
  attachments: readonly KnownAttachment[],
  named: readonly InterfaceID[],
  evidence: Evidence,
): Judged[] => {
  const isNamed = ({ containerID, ifName }: KnownAttachment): boolean =>
    named.some(
      other => other.containerID === containerID && (ifName === undefined || other.ifName === ifName),
    )
  const judged = attachments.map((attachment): Judged => {
    if (isNamed(attachment)) return { ...attachment, valid: true, why: 'named by --attachment' }
    const { state, why } = judgeOne(attachment, evidence)
    return { ...attachment, valid: state !== 'dead', why }
  })
  return withContainers(judged)
}

/**
 * An object that names only a container belongs to one of its attachments, a valid one if there is any: it stays as
 * long as anything of the container does.
 */
const withContainers = (judged: readonly Judged[]): Judged[] => {
  const attachments = judged.filter(({ ifName }) => ifName !== undefined)
  const homes = new Map<string, number>()
  for (const [at, { containerID, valid }] of attachments.entries()) {
    const before = attachments[homes.get(containerID) ?? -1]
    if (!before || (valid && !before.valid)) homes.set(containerID, at)
  }
  const rest: Judged[] = []
  for (const entry of judged.filter(({ ifName }) => ifName === undefined)) {
    const at = homes.get(entry.containerID) ?? -1
    const home = attachments[at]
    if (home) attachments[at] = { ...home, objects: [...home.objects, ...entry.objects] }
    else rest.push(entry)
  }
  return [...attachments, ...rest]
}

/** The addresses in the namespaces that are linked with this one; undefined where one of them cannot be seen. */
const addressesInside = (): Set<string> | undefined => {
  const namespaces = findNamespaces()
  if (!namespaces.complete) return undefined
  const { byNsid, closed } = withNetlink(NETLINK_ROUTE, nl => readInsides(nl, namespaces, () => {}))
  if (closed > 0) return undefined
  const interfaces = [...byNsid.values()].flat()
  return new Set(interfaces.flatMap(({ addresses }) => addresses.map(cidr => cidr.replace(/\/.*/, ''))))
}

/** The plugins whose containers are linked with the host by a veth. */
const vethTypes = ['bridge', 'kubenet', 'ptp']

/**
 * The evidence for judging attachments, as the node is now. Each thing is looked at once, when it is asked for: after
 * everything in `found` was found.
 */
export const gatherEvidence = ({ plugins }: NetworkConfigList, found: readonly Found[]): Evidence => {
  const inside = once(addressesInside)
  const names = once(() => new Set(withNetlink(NETLINK_ROUTE, linkList).map(({ name }) => name)))
  const nsfs = once(() => statSync('/proc/self/ns/net').dev)
  return {
    here: thisHost(),
    claimants: once(() => claimantsOf(found.flatMap(({ subject }) => subject ?? []))),
    isNetns: dev => dev === nsfs(),
    hasInterface: name => names().has(name),
    isNowhere: address => vethTypes.includes(plugins[0]?.type ?? '') && inside()?.has(address) === false,
  }
}
