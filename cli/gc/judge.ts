/** Which of a network's attachments are of containers that live. */
import { statSync } from 'node:fs'
import type { InterfaceID } from '../../src/attachment/attachment'
import type { Found, RecordedNetns } from './found'

/** All that a node has of one attachment. */
export type KnownAttachment = {
  readonly containerID: string
  /** Undefined where nothing names an interface, only the container. */
  readonly ifName: string | undefined
  readonly objects: readonly string[]
  /** The path of its namespace; undefined if nothing tells. */
  readonly netns: string | undefined
  readonly recorded: RecordedNetns | undefined
  /** Has it a veth, whose other end some namespace holds? */
  readonly isConnected: boolean
}

/** An attachment, and why it is to be kept or not. */
export type Judged = KnownAttachment & { readonly valid: boolean; readonly why: string }

const unique = (texts: readonly string[]): string[] => [...new Set(texts)]

/** Puts together what belongs to the same interface of the same container, in the order it was found. */
export const groupByAttachment = (found: readonly Found[]): KnownAttachment[] => {
  const groups = new Map<string, [Found, ...Found[]]>()
  for (const part of found) {
    const key = `${part.containerID} ${part.ifName ?? ''}`
    const group = groups.get(key)
    if (group) group.push(part)
    else groups.set(key, [part])
  }
  return [...groups.values()].map(parts => {
    const [{ containerID, ifName }] = parts
    const recorded = parts.find(part => part.recorded)?.recorded
    return {
      containerID,
      ifName,
      objects: unique(parts.map(({ object }) => object)),
      netns: parts.find(({ netns }) => netns)?.netns ?? recorded?.path,
      recorded,
      isConnected: parts.some(part => part.isConnection),
    }
  })
}

/** Device and inode of what is at a path; undefined if nothing is. */
export type NetnsAt = (path: string) => { readonly dev: number; readonly ino: number } | undefined

const statNetns: NetnsAt = path => {
  try {
    return statSync(path)
  } catch {
    return undefined // the path of a process that has ended can't even be asked for
  }
}

const judgeNetns = (
  { netns, recorded, isConnected }: KnownAttachment,
  netnsAt: NetnsAt,
): Omit<Judged, keyof KnownAttachment> => {
  // A veth goes with the namespace of either end: the container's is still there, wherever.
  if (!netns && isConnected) return { valid: true, why: 'its interface leads to a namespace' }
  if (!netns) return { valid: false, why: 'nothing tells of its network namespace' }
  const there = netnsAt(netns)
  if (!there) return { valid: false, why: `${netns} is gone` }
  if (there.dev !== netnsAt('/proc/self/ns/net')?.dev) {
    return { valid: false, why: `${netns} is no network namespace any more` }
  }
  // A cached path without a record is all there is where the reference gave out the address.
  if (recorded?.path === netns && (recorded.ino !== there.ino || recorded.dev !== there.dev)) {
    return { valid: false, why: `${netns} is another namespace now: ${there.ino}, and was ${recorded.ino}` }
  }
  return { valid: true, why: `${netns} is there` }
}

/** Judges attachments by their namespaces; those in `named` are valid whatever there is of them. */
export const judge = (
  attachments: readonly KnownAttachment[],
  named: readonly InterfaceID[],
  netnsAt: NetnsAt = statNetns,
): Judged[] => {
  const isNamed = ({ containerID, ifName }: KnownAttachment): boolean =>
    named.some(
      other => other.containerID === containerID && (ifName === undefined || other.ifName === ifName),
    )
  const judged = attachments.map(attachment =>
    isNamed(attachment)
      ? { ...attachment, valid: true, why: 'named by --attachment' }
      : { ...attachment, ...judgeNetns(attachment, netnsAt) },
  )
  return withContainers(judged)
}

/**
 * What names only a container is put to one of its attachments, to a valid one if it has any: it stays as long as
 * anything of the container does.
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
