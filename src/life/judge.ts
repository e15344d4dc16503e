/**
 * Does the container of an attachment still live? The one answer to that for all who take something from containers
 * that have ended: leases, host ports, rules, interfaces. Alive is whom any evidence shows alive. A container counts as
 * dead only by proof, from a process that would see a living one. Of all others nothing is known, and nothing is taken.
 */

import type { Holder } from './holders'
import type { HostView, NetnsNumber } from './host-view'

/** "unknown": it may be alive, and be out of sight. */
type LifeState = 'alive' | 'dead' | 'unknown'

/** The judgement of an attachment's life, and its evidence. */
export type Verdict = { readonly state: LifeState; readonly why: string }

/** A network namespace as it was when an attachment was made. */
export type RecordedNetns = NetnsNumber & { readonly path: string }

/** The record of an attachment from the time it was made. Undefined fields were not recorded. */
export type Subject = {
  readonly network: string
  readonly containerID: string
  readonly ifName: string | undefined
  readonly netns: RecordedNetns | undefined
  /** When it was made, in milliseconds since the epoch. */
  readonly since?: number | undefined
  /** The host's name, and its boot. */
  readonly made?: { readonly host: string; readonly bootID: string } | undefined
  /** The PID namespace of the one who made it, by inode. */
  readonly pidNamespace?: number | undefined
}

/** A container and the namespace it has. */
export type Claimant = {
  readonly containerID: string
  readonly netns: (NetnsNumber & { readonly path?: string }) | undefined
  /** When it got it, in milliseconds since the epoch. */
  readonly since: number | undefined
}

/** The containers that have namespaces by what was recorded of them. */
export const claimantsOf = (subjects: readonly Subject[]): Claimant[] =>
  subjects.map(({ containerID, netns, since }) => ({ containerID, netns, since }))

type JudgeOptions = {
  /**
   * Containers younger than this, in milliseconds, do not count as dead: its runtime may be just putting its namespace
   * in place.
   */
  readonly graceMs?: number
  /** Is its interface known to be gone? Then a namespace with its number that is not at its path is another one. */
  readonly isCutOff?: boolean
  /** Other holders of a namespace: the kernel uses numbers again. */
  readonly claimants?: () => readonly Claimant[]
}

const alive = (why: string): Verdict => ({ state: 'alive', why })
const dead = (why: string): Verdict => ({ state: 'dead', why })
const unknown = (why: string): Verdict => ({ state: 'unknown', why })

export const isSameNetns = (
  a: NetnsNumber | 'nothing' | 'hidden' | undefined,
  b: NetnsNumber | undefined,
): boolean => typeof a === 'object' && b !== undefined && a.dev === b.dev && a.ino === b.ino

/**
 * Was it made in an earlier boot? Containers may be given a boot_id of their own: a record from another PID namespace
 * that is younger than this boot was made by such a one.
 */
const isOfEarlierBoot = ({ made, since, pidNamespace }: Subject, here: HostView): boolean =>
  made !== undefined &&
  here.bootID !== '' &&
  made.bootID !== here.bootID &&
  here.isKernelsBootID() &&
  (pidNamespace === here.pidNamespace() || (since !== undefined && since < here.bootTime()))

/** Has another container got a namespace with that number, after this one? Then the number proves nothing. */
const isAnothers = ({ containerID, netns, since }: Subject, here: HostView, claimants: readonly Claimant[]) =>
  claimants.some(
    other =>
      other.containerID !== containerID &&
      isSameNetns(other.netns, netns) &&
      since !== undefined &&
      (other.since ?? 0) >= since &&
      (other.netns?.path === undefined || isSameNetns(here.netnsAt(other.netns.path), netns)),
  )

const describeHolder = ({ pid, paths }: Holder): string =>
  paths[0] === undefined ? `process ${pid} is in it` : `it is mounted at ${paths[0]}`

const judgeNetns = (
  subject: Subject,
  netns: RecordedNetns,
  here: HostView,
  options: JudgeOptions,
): Verdict => {
  const { path } = netns
  const there = here.netnsAt(path)
  if (isSameNetns(there, netns)) return alive(`${path} is there`)
  const { byInode, blind } = here.holders(subject.pidNamespace)
  const lost = there === 'nothing' ? `${path} is gone` : `${path} cannot be read`
  const why =
    typeof there === 'object' ? `${path} is another namespace now: ${there.ino}, and was ${netns.ino}` : lost
  const holder = byInode.get(netns.ino)
  if (holder && !options.isCutOff && !isAnothers(subject, here, options.claimants?.() ?? []))
    return alive(`${why}, its namespace lives on: ${describeHolder(holder)}`)
  if (there === 'hidden') return unknown(why)
  if (blind !== undefined) return unknown(`${why}; ${blind}`)
  const age = here.now() - (subject.since ?? 0)
  // A time in the future is from before the clock was set back.
  if (age >= 0 && age < (options.graceMs ?? 0))
    return unknown(`${why}; it was made ${Math.round(age / 1000)} s ago`)
  return dead(why)
}

/** Judges an attachment by all that is known of it. */
export const judgeLife = (subject: Subject, here: HostView, options: JudgeOptions = {}): Verdict => {
  const { network, containerID, ifName, netns, made } = subject
  // Several hosts may share a folder; each can speak of its own containers only.
  if (made && made.host !== here.host()) return unknown(`it was made on host "${made.host}"`)
  if (isOfEarlierBoot(subject, here)) return dead('it was made before this boot')
  const byNetns = netns && judgeNetns(subject, netns, here, options)
  if (byNetns?.state === 'alive') return byNetns
  // A veth goes with the namespace of either end: the container's is still there, wherever.
  const veth = ifName === undefined ? undefined : here.vethOf({ network, containerID, ifName })
  if (veth !== undefined) return alive(`${veth} leads to its namespace`)
  return byNetns ?? unknown('its network namespace is unknown')
}
