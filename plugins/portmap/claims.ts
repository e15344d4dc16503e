/**
 * The owner of each host port, so that ADD of a second container for it fails with the owner's name instead of getting
 * rules that never match. It is a cache, as the records of the owners are: it does not have rules of the reference
 * plugin, and if it cannot be written ADD opens the ports anyway.
 */
import { lstatSync, mkdirSync } from 'node:fs'
import { type Attachment, containerWithPod, keyOf, podInArgs } from '../../src/attachment/attachment'
import {
  everyAddress,
  familyOf,
  formatClaim,
  hostportsFolder,
  isEveryAddress,
  ownerPath,
  parseClaim,
} from '../../src/attachment/host-ports'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { isFileError } from '../../src/host/errno'
import { withLock } from '../../src/host/lock'
import { warn } from '../../src/host/log'
import { type Family, formatAddr } from '../../src/ip/addr'
import { ownPidNamespace } from '../../src/life/holders'
import { thisHost } from '../../src/life/host-view'
import { type InstalledRules, mappingsOf } from '../../src/netfilter/rules/hostports/hostports'
import { ownNetnsNumber } from '../../src/netns/netns'
import type { PortmapConf } from './config'
import {
  dropClaim,
  eraseOwner,
  eraseUnfinished,
  hasEnded,
  isOfThisHost,
  type PortOwner,
  readOwner,
  readRival,
  rivalsOf,
  takeClaim,
  unfinishedOwners,
  unfinishedPath,
  writeOwner,
} from './records'

type Claim = { readonly claim: string; readonly family: Family }

/** The claims of all mappings: one an address, one a family for all addresses. */
const claimsOf = (conf: PortmapConf): Claim[] => {
  const families = conf.addresses.map(({ addr }) => addr.family)
  return families.flatMap(family =>
    mappingsOf(conf, family).map(({ protocol, hostPort, hostIP }) => {
      const where = hostIP ? formatAddr(hostIP) : everyAddress(family)
      return { claim: formatClaim(protocol, hostPort, where), family }
    }),
  )
}

const forget = (folder: string, owner: PortOwner, passOn?: () => void): void => {
  const key = keyOf(owner)
  const shared = owner.claims.filter(claim => dropClaim(folder, claim, key))
  if (shared.length > 0) passOn?.()
  // Last: a crash in between leaves an owner of too much, never a claim without an owner.
  eraseOwner(folder, key)
}

/** The failure of one who wants `claim`, where `owner` has `rival`. */
const conflict = (claim: string, rival: string, owner: PortOwner): CniError => {
  const { protocol, hostPort, where } = parseClaim(claim)
  const place = parseClaim(rival).where
  const about = [
    `network ${owner.network}`,
    `interface ${owner.ifName}`,
    owner.netns && `netns ${owner.netns.path}`,
    `which has it on ${isEveryAddress(place) ? `all IPv${familyOf(place)} addresses` : place}`,
  ]
  const port = isEveryAddress(where) ? `${hostPort}/${protocol}` : `${hostPort}/${protocol} of ${where}`
  return new CniError(
    ErrorCode.invalidNetworkConfig,
    `host port ${port} is taken by container ${containerWithPod(owner)}`,
    { details: `${about.filter(Boolean).join(', ')}; delete that container or choose another host port` },
  )
}

const sameWords = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((word, i) => word === b[i])

/**
 * Do the rules of `owner`, which come first, take every connection? Different conditions cannot be compared, so
 * networks may share a port by them.
 */
const shadows = (owner: PortOwner, family: Family, conf: PortmapConf): boolean => {
  const conditions = owner.conditions?.[family] ?? []
  return conditions.length === 0 || sameWords(conditions, conf.conditions[family])
}

/** The owners whose claims are in the way; throws code 7 naming one that is alive. */
const deadRivals = (
  folder: string,
  claimer: PortOwner,
  conf: PortmapConf,
  wanted: readonly Claim[],
): PortOwner[] => {
  const dead = new Map<string, PortOwner>()
  const isHere = isOfThisHost()
  const here = thisHost()
  const caller = {
    ...claimer,
    netns: claimer.netns && { dev: claimer.netns.dev, ino: claimer.netns.ino },
    since: claimer.time,
  }
  for (const { claim, family } of wanted) {
    for (const rival of rivalsOf(folder, claim, keyOf(conf))) {
      const owner = readRival(folder, rival.holder)
      if (!owner) dropClaim(folder, rival.claim, rival.holder)
      // A runtime gives all networks of a container the same ports; the first one's rules serve them.
      else if (owner.containerID === conf.containerID || !isHere(owner)) continue
      else if (hasEnded(owner, here, caller, folder)) dead.set(rival.holder, owner)
      else if (shadows(owner, family, conf)) throw conflict(claim, rival.claim, owner)
    }
  }
  return [...dead.values()]
}

const recordOf = (call: Call, conf: PortmapConf, claims: readonly Claim[]): PortOwner => {
  const { network, containerID, ifName, conditions } = conf
  const { path, dev, ino } = call.netns ?? {}
  const pod = podInArgs(call.env.args)
  return {
    network,
    containerID,
    ifName,
    ...(pod && { pod }),
    ...(path !== undefined && dev !== undefined && ino !== undefined && { netns: { path, dev, ino } }),
    claims: [...new Set(claims.map(({ claim }) => claim))],
    hostNetns: ownNetnsNumber(),
    time: Date.now(),
    pidNamespace: ownPidNamespace(),
    ...((conditions[4].length > 0 || conditions[6].length > 0) && {
      conditions: { 4: [...conditions[4]], 6: [...conditions[6]] },
    }),
    addresses: conf.addresses.map(({ addr }) => formatAddr(addr)),
  }
}

/** Runs `work` while no other process claims a port or gives one back. */
export const whilePortsLocked = async <T>(work: () => T | Promise<T>, folder = hostportsFolder): Promise<T> =>
  locked(folder, work)

const locked = async <T>(folder: string, work: () => T | Promise<T>): Promise<T> => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return withLock(`${folder}/lock`, work)
}

/** The result of claiming. */
export type Claimed = {
  /** Owners that are gone and had one of the ports. */
  readonly dead: readonly PortOwner[]
  /** The attachment's own record, of an ADD before. */
  readonly earlier: PortOwner | undefined
  /** False where nothing can be recorded: the state before is unknown then. */
  readonly recorded: boolean
}

type ClaimOptions = {
  /** The record of the rules. */
  readonly rules?: InstalledRules
  /** Removes the rest of an owner that is gone, before another container gets its ports. */
  readonly takeDownDead?: (owner: PortOwner) => Promise<void>
  readonly folder?: string
}

/**
 * Claims the ports for this container, from dead owners too. Throws code 7 naming a living one that has one, and
 * what `takeDownDead` throws; nothing is claimed then.
 */
export const setUpClaims = async (
  call: Call,
  conf: PortmapConf,
  { rules, takeDownDead, folder = hostportsFolder }: ClaimOptions = {},
): Promise<Claimed> => {
  const key = keyOf(conf)
  const wanted = claimsOf(conf)
  const record = { ...recordOf(call, conf, wanted), ...(rules && { rules }) }
  let burial: unknown
  try {
    return await locked(folder, async () => {
      const dead = deadRivals(folder, record, conf, wanted)
      for (const owner of dead) {
        await takeDownDead?.(owner).catch(error => {
          burial = error
          throw error
        })
        forget(folder, owner)
      }
      const earlier = readOwner(folder, key)
      // Before the claims, which have no owner without it.
      writeOwner(folder, record)
      for (const claim of record.claims) takeClaim(folder, claim, key)
      const taken = new Set(record.claims)
      for (const claim of earlier?.claims ?? []) if (!taken.has(claim)) dropClaim(folder, claim, key)
      return { dead, earlier, recorded: true }
    })
  } catch (error) {
    if (error === burial || !isFileError(error)) throw error
    const said = error instanceof Error ? error.message : ''
    warn(`portmap: host ports are not recorded, so conflicts are not found: ${said}`)
    return { dead: [], earlier: undefined, recorded: false }
  }
}

/** Adds to an attachment's record what rules it has; without a record nothing is noted. */
export const noteRules = (id: Attachment, rules: InstalledRules, folder: string = hostportsFolder): void => {
  const owner = readOwner(folder, keyOf(id))
  if (!owner) return
  try {
    writeOwner(folder, { ...owner, rules })
  } catch (error) {
    // DEL looks through everything then.
    if (!isFileError(error)) throw error
  }
}

/** The record of an attachment's ports; undefined if there is none. */
export const ownerOf = (id: Attachment, folder: string = hostportsFolder): PortOwner | undefined =>
  readOwner(folder, keyOf(id))

/** The UDP ports among an owner's claims. */
export const udpPortsOf = (owner: PortOwner): number[] =>
  owner.claims
    .map(parseClaim)
    .filter(({ protocol }) => protocol === 'udp')
    .map(({ hostPort }) => hostPort)

const isThere = (path: string): boolean => {
  try {
    lstatSync(path)
    return true
  } catch {
    return false
  }
}

/** Removes the beginnings of records that calls have left which were killed while they wrote them. */
export const collectClaims = async (folder: string = hostportsFolder): Promise<void> => {
  if (unfinishedOwners(folder).length === 0) return
  // A writer of a record holds the lock.
  await locked(folder, () => {
    for (const key of unfinishedOwners(folder)) eraseUnfinished(folder, key)
  })
}

/** When and how ports are given back. */
type ReleaseOptions = {
  readonly folder?: string
  /** Asked of the record: are they due? */
  readonly isDue?: (owner: PortOwner) => boolean
  /** Called if others may have claimed one of the ports too, before the record is gone. */
  readonly passOn?: () => void
}

/** Gives back all ports of an attachment; none claimed is no failure. */
export const takeDownClaims = async (
  id: Attachment,
  { folder = hostportsFolder, isDue = () => true, passOn }: ReleaseOptions = {},
): Promise<void> => {
  const key = keyOf(id)
  // A call that was killed while it wrote the record has left the beginning of one.
  if (!isThere(ownerPath(folder, key)) && !isThere(unfinishedPath(folder, key))) return
  try {
    await locked(folder, () => {
      const owner = readOwner(folder, key)
      if (owner && !isDue(owner)) return
      if (owner) forget(folder, owner, passOn)
      else eraseOwner(folder, key)
    })
  } catch (error) {
    if (!isFileError(error)) throw error
    // The next claim of the ports finds an owner that is gone.
    warn(`portmap: host ports are still recorded: ${error instanceof Error ? error.message : ''}`)
  }
}
