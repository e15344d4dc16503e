/**
 * The holders of network namespaces: processes that are in them, and mounts of any mount namespace. Only a look at all
 * processes shows all of both; without permission for it the answer is "unknown", because a namespace that this process
 * cannot see may still exist.
 */

import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { errnoOf } from '../host/errno'

/** A mount of a namespace, and where that can be opened from here. */
type Mount = { readonly ino: number; readonly path: string }

/** The object that keeps a network namespace alive. */
export type Holder = {
  /** The first process found in it; undefined if none is, or none that may be seen. */
  readonly pid: number | undefined
  /** Where it is mounted; below /proc/PID/root where that is another mount namespace. */
  readonly paths: readonly string[]
}

/** The network namespaces that live, by inode, and why some may be missing here; undefined if none can. */
export type Holders = { readonly byInode: ReadonlyMap<number, Holder>; readonly blind: string | undefined }

const inodeIn = (link: string, type: string): number =>
  link.startsWith(`${type}:[`) ? Number(link.slice(type.length + 2, -1)) : 0

// "47 29 0:4 net:[4026532401] /run/netns/a rw shared:1 - nsfs nsfs rw": proc(5); blanks in paths are octal escapes.
const mountsIn = (mountinfo: string): Mount[] =>
  mountinfo
    .split('\n')
    .filter(line => line.includes(' net:['))
    .map(line => line.split(' '))
    .map(fields => ({
      ino: inodeIn(fields[3] ?? '', 'net'),
      path: (fields[4] ?? '').replaceAll('\\040', ' '),
    }))
    .filter(({ ino }) => ino !== 0)

/** <linux/proc_ns.h>, PROC_PID_INIT_INO: from every other PID namespace only some processes can be seen. */
const initialPidNamespace = 4026531836

/** The inode of this process's PID namespace; 0 where that cannot be told. */
export const ownPidNamespace = (): number => {
  try {
    return statSync('/proc/self/ns/pid').ino
  } catch {
    return 0
  }
}

/** Init is in the node's own namespaces; with more capabilities than we have, it cannot be asked. */
const init = '1'

/** A process that has ended since is no loss. Its mountinfo gives EINVAL between its end and its parent's wait. */
const hasEnded = (error: unknown): boolean => ['ENOENT', 'ESRCH', 'EINVAL'].includes(errnoOf(error) ?? '')

/** Something to be read of a process: the answer, or why there is none. */
const ask = <T>(read: () => T): { readonly answer?: T; readonly refused: boolean } => {
  try {
    return { answer: read(), refused: false }
  } catch (error) {
    return { refused: !hasEnded(error) }
  }
}

type Process = { readonly pid: string; readonly mountNamespace: string; readonly root: string }

type Look = { readonly pids: Map<number, number>; readonly processes: Process[]; blind: string | undefined }

/** Looks at a process; says whether that was refused. */
const lookAt = (pid: string, look: Look): boolean => {
  const net = ask(() => readlinkSync(`/proc/${pid}/ns/net`))
  const mount = ask(() => readlinkSync(`/proc/${pid}/ns/mnt`))
  const root = ask(() => readlinkSync(`/proc/${pid}/root`))
  const ino = inodeIn(net.answer ?? '', 'net')
  if (ino !== 0 && !look.pids.has(ino)) look.pids.set(ino, Number(pid))
  const mountNamespace = mount.answer ?? (pid === init ? init : undefined)
  if (mountNamespace !== undefined) look.processes.push({ pid, mountNamespace, root: root.answer ?? '/' })
  return (net.refused || mount.refused) && pid !== init
}

/** Does the mount of /proc hide other people's processes? Those who may trace them all see them. */
const hidesProcesses = (ownMountinfo: string): boolean => {
  const proc = ownMountinfo.split('\n').filter(line => line.split(' ')[4] === '/proc')
  if (!/hidepid=(?!0|off)/.test(proc.at(-1) ?? '')) return false
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return ((BigInt(`0x${effective}`) >> 19n) & 1n) === 0n // <linux/capability.h>, CAP_SYS_PTRACE
}

/** The mounts of every mount namespace, by the first process with that view of it; its own ones as they are. */
const mountsOfAll = (own: string, look: Look): Mount[] => {
  const ownNamespace = readlinkSync('/proc/self/ns/mnt')
  const found = mountsIn(own)
  const seen = new Set([`${ownNamespace} /`])
  for (const { pid, mountNamespace, root } of look.processes) {
    const view = `${mountNamespace} ${root}`
    if (seen.has(view)) continue
    const { answer, refused } = ask(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'))
    if (refused) look.blind ??= `the mounts of process ${pid} cannot be read from here`
    if (answer === undefined) continue
    seen.add(view)
    found.push(...mountsIn(answer).map(({ ino, path }) => ({ ino, path: `/proc/${pid}/root${path}` })))
  }
  return found
}

/**
 * Looks for every network namespace that lives. `pidNamespace`: where the containers' processes are known to be, so
 * that all of them are seen from there as well as from the host's.
 */
export const findHolders = (pidNamespace?: number): Holders => {
  const look: Look = { pids: new Map(), processes: [], blind: undefined }
  const own = ownPidNamespace()
  if (own !== initialPidNamespace && own !== pidNamespace)
    look.blind = 'this PID namespace does not show every process of the node'
  const refused = readdirSync('/proc').filter(name => /^\d+$/.test(name) && lookAt(name, look))
  const ownMountinfo = readFileSync('/proc/self/mountinfo', 'utf8')
  if (hidesProcesses(ownMountinfo)) look.blind ??= '/proc is mounted with hidepid and hides processes'
  // A process that was just executing another program may be readable by now.
  const hidden = refused.find(pid => lookAt(pid, look))
  if (hidden !== undefined) look.blind ??= `process ${hidden} cannot be read from here`
  const byInode = new Map<number, { pid: number | undefined; paths: string[] }>()
  for (const [ino, pid] of look.pids) byInode.set(ino, { pid, paths: [] })
  for (const { ino, path } of mountsOfAll(ownMountinfo, look)) {
    const known = byInode.get(ino)
    if (known) known.paths.push(path)
    else byInode.set(ino, { pid: undefined, paths: [path] })
  }
  return { byInode, blind: look.blind }
}
