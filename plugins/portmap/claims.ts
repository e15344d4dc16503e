/**
 * Who has which port of the host, so that a second container that wants one is told, by name, instead of getting
 * rules that never match. Kept in memory-backed files, since the rules do not survive a reboot either:
 *
 *   /run/kubenet-cni/hostports/owners/<24 hex digits>               what a container has: a JSON object
 *   /run/kubenet-cni/hostports/claims/tcp-8080/any4 -> <24 hex digits>   a symbolic link per port and address
 *   /run/kubenet-cni/hostports/lock                                 flock(2)
 *
 * It is advice: rules the reference made are not in it, and where it can't be kept the ports are opened all the same.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import * as v from 'valibot'
import { platform } from '#platform'
import { CniError, ErrorCode, errnoOf } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { withLock } from '../../src/host/lock'
import { warn } from '../../src/host/log'
import { formatAddr } from '../../src/ip/addr'
import { mappingsOf, type PortMapping, type PortmapConf } from './config'

export const claimsFolder = '/run/kubenet-cni/hostports'

const ownerSchema = v.object({
  network: v.string(),
  containerID: v.string(),
  ifName: v.string(),
  /** The container's namespace, which tells whether it still lives; absent if portmap was not shown one. */
  netns: v.optional(v.object({ path: v.string(), dev: v.number(), ino: v.number() })),
  /** "tcp-8080/any4" and so on: the claims, as paths below claims/. */
  claims: v.array(v.string()),
})

/** A container with host ports. */
export type PortOwner = v.InferOutput<typeof ownerSchema>

const keyOf = ({
  network,
  containerID,
  ifName,
}: {
  network: string
  containerID: string
  ifName: string
}): string => platform.sha512Hex(`${network}\n${containerID}\n${ifName}`).slice(0, 24)

const ownerPath = (key: string): string => `${claimsFolder}/owners/${key}`

const claimPath = (claim: string): string => `${claimsFolder}/claims/${claim}`

const ignoringAbsence = (work: () => void): void => {
  try {
    work()
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTEMPTY') throw error
  }
}

const readOwner = (key: string): PortOwner | undefined => {
  try {
    const parsed = v.safeParse(ownerSchema, JSON.parse(readFileSync(ownerPath(key), 'utf8')))
    return parsed.success ? parsed.output : undefined
  } catch {
    return undefined // gone, or cut off by a crash: nobody's
  }
}

/** Every owner there is a record of. */
export const listOwners = (): PortOwner[] => {
  try {
    return readdirSync(`${claimsFolder}/owners`).flatMap(key => readOwner(key) ?? [])
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

/** Is the container's namespace still the one it had? Without a record of one it counts as alive. */
const isAlive = ({ netns }: PortOwner): boolean => {
  if (!netns) return true
  const found = statSync(netns.path, { throwIfNoEntry: false })
  return found?.dev === netns.dev && found.ino === netns.ino
}

/** The claims of one mapping: one an address, one a family for all addresses. */
const claimsOf = (conf: PortmapConf): { claim: string; mapping: PortMapping }[] => {
  const families = conf.addresses.map(({ addr }) => addr.family)
  return families.flatMap(family =>
    mappingsOf(conf, family).map(mapping => {
      const where = mapping.hostIP ? formatAddr(mapping.hostIP) : `any${family}`
      return { claim: `${mapping.protocol}-${mapping.hostPort}/${where}`, mapping }
    }),
  )
}

/** The claims on the same port that overlap: the same address, or one of them being for all of the family. */
const rivalsOf = (claim: string): string[] => {
  const [port = '', where = ''] = claim.split('/')
  const familyOf = (name: string) => (name === 'any6' || name.includes(':') ? 6 : 4)
  let names: string[]
  try {
    names = readdirSync(claimPath(port))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
  return names
    .filter(name => familyOf(name) === familyOf(where))
    .filter(name => name === where || name.startsWith('any') || where.startsWith('any'))
    .map(name => `${port}/${name}`)
}

const holderOf = (claim: string): string | undefined => {
  try {
    return readlinkSync(claimPath(claim))
  } catch {
    return undefined
  }
}

const conflict = (mapping: PortMapping, owner: PortOwner): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `host port ${mapping.hostPort}/${mapping.protocol} is taken by container ${owner.containerID}`,
    {
      details: `network ${owner.network}, interface ${owner.ifName}${owner.netns ? `, netns ${owner.netns.path}` : ''}`,
    },
  )

const forget = (key: string, owner: PortOwner): void => {
  for (const claim of owner.claims) {
    // A claim that has changed hands is not ours to give back.
    if (holderOf(claim) === key) ignoringAbsence(() => unlinkSync(claimPath(claim)))
    ignoringAbsence(() => rmdirSync(claimPath(claim.split('/')[0] ?? '')))
  }
  ignoringAbsence(() => unlinkSync(ownerPath(key)))
}

/** The owners whose claims are in the way; throws code 7 naming one that is alive. */
const deadRivals = (
  key: string,
  wanted: readonly { claim: string; mapping: PortMapping }[],
): Map<string, PortOwner> => {
  const dead = new Map<string, PortOwner>()
  for (const { claim, mapping } of wanted) {
    for (const rival of rivalsOf(claim)) {
      const holder = holderOf(rival)
      if (holder === undefined || holder === key) continue
      const owner = readOwner(holder)
      if (owner && isAlive(owner)) throw conflict(mapping, owner)
      if (owner) dead.set(holder, owner)
      else ignoringAbsence(() => unlinkSync(claimPath(rival)))
    }
  }
  return dead
}

const write = (key: string, owner: PortOwner): void => {
  mkdirSync(`${claimsFolder}/owners`, { recursive: true, mode: 0o700 })
  // Before the claims: a crash in between leaves an owner too much, never a claim that nobody can give back.
  writeFileSync(ownerPath(key), JSON.stringify(owner), { mode: 0o600 })
  for (const claim of owner.claims) {
    mkdirSync(claimPath(claim.split('/')[0] ?? ''), { recursive: true, mode: 0o700 })
    try {
      symlinkSync(key, claimPath(claim))
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

const locked = async <T>(work: () => T): Promise<T> => {
  mkdirSync(claimsFolder, { recursive: true, mode: 0o700 })
  return withLock(`${claimsFolder}/lock`, work)
}

/** What claiming found: dead owners whose rules have to go, and whether this attachment had claims already. */
export type Claimed = { readonly dead: readonly PortOwner[]; readonly repeated: boolean }

/** Claims the ports for this container, from dead owners too. Throws code 7 naming a living one that has one. */
export const claimPorts = async (call: Call, conf: PortmapConf): Promise<Claimed> => {
  const { network, containerID, ifName } = conf
  const key = keyOf(conf)
  const wanted = claimsOf(conf)
  const { path, dev, ino } = call.netns ?? {}
  const netns = path !== undefined && dev !== undefined && ino !== undefined ? { path, dev, ino } : undefined
  try {
    return await locked(() => {
      const dead = deadRivals(key, wanted)
      for (const [rival, owner] of dead) forget(rival, owner)
      const earlier = readOwner(key)
      if (earlier) forget(key, earlier)
      write(key, {
        network,
        containerID,
        ifName,
        ...(netns && { netns }),
        claims: wanted.map(({ claim }) => claim),
      })
      return { dead: [...dead.values()], repeated: earlier !== undefined }
    })
  } catch (error) {
    if (error instanceof CniError || !['EROFS', 'EACCES', 'EPERM', 'ENOSPC'].includes(errnoOf(error) ?? ''))
      throw error
    warn(
      `portmap: host ports are not recorded, conflicts go unnoticed: ${error instanceof Error ? error.message : ''}`,
    )
    // Without records nobody knows, so the backend has to look.
    return { dead: [], repeated: true }
  }
}

/** The record of an attachment's ports; undefined if there is none. */
export const ownerOf = (id: {
  network: string
  containerID: string
  ifName: string
}): PortOwner | undefined => readOwner(keyOf(id))

/** The protocol and host port of each of an owner's claims. */
export const portsOf = (owner: PortOwner): { protocol: string; hostPort: number }[] =>
  owner.claims.map(claim => {
    const [protocol = '', port = ''] = (claim.split('/')[0] ?? '').split('-')
    return { protocol, hostPort: Number(port) }
  })

/** Gives back all ports of an attachment; none claimed is no failure. */
export const releasePorts = async (id: {
  network: string
  containerID: string
  ifName: string
}): Promise<void> => {
  const key = keyOf(id)
  if (!statSync(ownerPath(key), { throwIfNoEntry: false })) return
  await locked(() => {
    const owner = readOwner(key)
    if (owner) forget(key, owner)
    else ignoringAbsence(() => unlinkSync(ownerPath(key)))
  })
}
