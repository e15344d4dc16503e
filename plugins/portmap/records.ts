/**
 * What a container with host ports has, one file an attachment, and the ports that are taken, as empty files that no two
 * owners share. In memory, since the rules do not survive a reboot either:
 *
 *   /run/kubenet-cni/hostports/owners/<owner's key, 24 hex digits>    a JSON object
 *   /run/kubenet-cni/hostports/claims/tcp-8080/any4@<owner's key>
 *   /run/kubenet-cni/hostports/claims/udp-53/192.0.2.1@<owner's key>
 *
 * It is advice: rules the reference made are not in it, and without it everything is looked through.
 */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import * as v from 'valibot'
import { keyOf } from '../../src/attachment/attachment'
import {
  familyOf,
  formatClaim,
  hostportsFolder,
  isEveryAddress,
  ownerPath,
  parseClaim,
} from '../../src/attachment/host-ports'
import { CniError, ErrorCode } from '../../src/cni/error'
import { errnoOf } from '../../src/host/errno'
import { readAdvice, readPlainFile } from '../../src/host/plain-file'
import { type HostView, once } from '../../src/life/host-view'
import { type Claimant, claimantsOf, isSameNetns, judgeLife, type Subject } from '../../src/life/judge'
import type { InstalledRules } from '../../src/netfilter/rules/hostports/hostports'
import { ownNetnsNumber } from '../../src/netns/netns'

const family = () => v.picklist([4, 6])

/** The handles of rules in nftables, by which DEL finds them without reading all rules. */
const ruleRef = () => v.object({ family: family(), chain: v.string(), handle: v.string() })

/** The rules that lead to a container's chain, "CNI-HOSTPORT-DNAT -p tcp …", for each family it has one of. */
const jumps = () => v.object({ 4: v.optional(v.array(v.string())), 6: v.optional(v.array(v.string())) })

/** One rule of the chain, "CNI-DN-… -p tcp … -j DNAT …": no other chain has it. Older versions noted none. */
const marks = () => v.object({ 4: v.optional(v.string()), 6: v.optional(v.string()) })

const installedRules = (): v.GenericSchema<InstalledRules> =>
  v.variant('backend', [
    v.object({ backend: v.literal('iptables'), jumps: jumps(), marks: v.optional(marks()) }),
    // Without handles ADD did not come to its end.
    v.object({ backend: v.literal('nftables'), handles: v.optional(v.array(ruleRef())) }),
  ])

const ownerSchema = v.object({
  network: v.string(),
  containerID: v.string(),
  ifName: v.string(),
  /** The name Kubernetes has for it, for messages: "namespace/name". */
  pod: v.optional(v.string()),
  /** The container's namespace, which tells whether it still lives; absent if portmap was not shown one. */
  netns: v.optional(v.object({ path: v.string(), dev: v.number(), ino: v.number() })),
  /** "tcp-8080/any4" and so on: the ports, as the files of their claims are called. */
  claims: v.array(v.string()),
  /** The network namespace of the host whose ports they are: several hosts may share the folder. */
  hostNetns: v.optional(v.object({ dev: v.number(), ino: v.number() })),
  /** When the record was made, in milliseconds since the epoch. */
  time: v.optional(v.number()),
  /** The PID namespace of the one who made it, by inode: from elsewhere the container may be out of sight. */
  pidNamespace: v.optional(v.number()),
  /** The conditions its connections must meet; absent for none. */
  conditions: v.optional(v.object({ 4: v.array(v.string()), 6: v.array(v.string()) })),
  /** The container's addresses the ports lead to. */
  addresses: v.optional(v.array(v.string())),
  rules: v.optional(installedRules()),
  /** Claims of ports that lead to another interface of the container, and where they lead when that goes: kubenet's. */
  waiting: v.optional(v.array(v.object({ claim: v.string(), containerPort: v.number() }))),
})

/** An attachment with host ports. */
export type PortOwner = v.InferOutput<typeof ownerSchema>

const unfinished = '.new'

/**
 * The file of a record while it is written. Only calls for this very attachment use this name, and a runtime makes
 * those one after the other.
 */
export const unfinishedPath = (folder: string, key: string): string =>
  `${ownerPath(folder, key)}${unfinished}`

/** Runs `work`; that something is not there, or is no file or no empty folder of ours, is no failure. */
const ignoringAbsence = (work: () => void): void => {
  try {
    work()
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '')) throw error
  }
}

/** The names in a folder; none if there is no such folder. */
export const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return []
    throw error
  }
}

const parseOwner = (text: string, key: string): PortOwner | undefined => {
  try {
    const parsed = v.safeParse(ownerSchema, JSON.parse(text))
    // A record under a name that is not its own would have another's ports given back.
    return parsed.success && keyOf(parsed.output) === key ? parsed.output : undefined
  } catch {
    return undefined // not written by us: it names no owner
  }
}

/** The owner of that key; undefined if there is no record, or none that can be read. */
export const readOwner = (folder: string, key: string): PortOwner | undefined =>
  parseOwner(readAdvice(ownerPath(folder, key)) ?? '', key)

/**
 * The same for one whose ports another program wants. Throws code 5 if there is a record that cannot be read: who that is
 * may well be alive.
 */
export const readRival = (folder: string, key: string): PortOwner | undefined => {
  if (!/^[0-9a-f]{24}$/.test(key)) return undefined // no holder of ours is called so
  try {
    return parseOwner(readPlainFile(ownerPath(folder, key)) ?? '', key)
  } catch (cause) {
    throw new CniError(ErrorCode.ioFailure, 'portmap: the owner of a host port cannot be read', { cause })
  }
}

/** Tells whether an owner's ports are those of the host this process is on. Records of older versions do not say. */
export const isOfThisHost = (): ((owner: PortOwner) => boolean) => {
  const own = once(ownNetnsNumber)
  return ({ hostNetns }) => hostNetns === undefined || isSameNetns(hostNetns, own())
}

/** Writes a record whole or not at all, in place of the one that is there. */
export const writeOwner = (folder: string, owner: PortOwner): void => {
  const key = keyOf(owner)
  mkdirSync(`${folder}/owners`, { recursive: true, mode: 0o700 })
  const temporary = unfinishedPath(folder, key)
  eraseUnfinished(folder, key)
  try {
    writeFileSync(temporary, JSON.stringify(owner), { mode: 0o600, flag: 'wx' })
    renameSync(temporary, ownerPath(folder, key))
  } catch (error) {
    eraseUnfinished(folder, key)
    throw error
  }
}

/** Removes a record, whatever is there under its name. */
export const eraseOwner = (folder: string, key: string): void => {
  for (const path of [ownerPath(folder, key), unfinishedPath(folder, key)])
    ignoringAbsence(() => unlinkSync(path))
}

/** The keys of records that are being written, or whose writer was killed. */
export const unfinishedOwners = (folder: string): string[] =>
  namesIn(`${folder}/owners`)
    .filter(name => name.endsWith(unfinished))
    .map(name => name.slice(0, -unfinished.length))

/** Removes the beginning of a record. */
export const eraseUnfinished = (folder: string, key: string): void =>
  ignoringAbsence(() => unlinkSync(unfinishedPath(folder, key)))

/** Every owner of this host's ports that there is a record of. */
export const listOwners = (folder: string = hostportsFolder): PortOwner[] => {
  const isHere = isOfThisHost()
  return namesIn(`${folder}/owners`).flatMap(key => {
    const owner = readOwner(folder, key)
    return owner && isHere(owner) ? [owner] : []
  })
}

/** The evidence of life in a record. */
export const subjectOf = ({
  network,
  containerID,
  ifName,
  netns,
  time,
  pidNamespace,
}: PortOwner): Subject => ({
  network,
  containerID,
  ifName,
  netns,
  since: time,
  pidNamespace,
})

/** Has the owner's container certainly ended? `caller` is the container a call is for. */
export const hasEnded = (owner: PortOwner, here: HostView, caller?: Claimant, folder?: string): boolean => {
  const claimants = once(() => [
    ...(caller ? [caller] : []),
    ...claimantsOf(listOwners(folder).map(subjectOf)),
  ])
  return judgeLife(subjectOf(owner), here, { claimants }).state === 'dead'
}

/** The folder of all claims of a port. A claim without its holder is "tcp-8080/any4": src/attachment/host-ports.ts. */
const folderOf = (folder: string, claim: string): string => `${folder}/claims/${claim.split('/')[0]}`

const fileOf = (folder: string, claim: string, key: string): string => `${folder}/claims/${claim}@${key}`

/**
 * The claims of others on the same port that overlap with `claim`: for the same address, or one of them for all of
 * the family.
 */
export const rivalsOf = (folder: string, claim: string, key: string): { claim: string; holder: string }[] => {
  const { protocol, hostPort, where } = parseClaim(claim)
  return namesIn(folderOf(folder, claim)).flatMap(name => {
    const [other = '', holder = ''] = name.split('@')
    const overlaps = other === where || isEveryAddress(other) || isEveryAddress(where)
    if (holder === key || familyOf(other) !== familyOf(where) || !overlaps) return []
    return [{ claim: formatClaim(protocol, hostPort, other), holder }]
  })
}

/** Notes that an owner has the port. */
export const takeClaim = (folder: string, claim: string, key: string): void => {
  mkdirSync(folderOf(folder, claim), { recursive: true, mode: 0o700 })
  const flags = constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW
  closeSync(openSync(fileOf(folder, claim, key), flags, 0o600))
}

/** Notes that an owner has it no more. Returns whether another one may have the port. */
export const dropClaim = (folder: string, claim: string, key: string): boolean => {
  let isShared = true
  ignoringAbsence(() => unlinkSync(fileOf(folder, claim, key)))
  ignoringAbsence(() => {
    rmdirSync(folderOf(folder, claim))
    isShared = false
  })
  return isShared
}
