/**
 * The evidence for the life of attachments: this host, this boot, this moment. Each is looked at once, when asked for.
 */
import { statSync } from 'node:fs'
import type { Attachment } from '../attachment/attachment'
import { formatAlias } from '../attachment/interfaces'
import { bootTime, isKernelsBootID, startOfBoot } from '../host/boot'
import { errnoOf } from '../host/errno'
import { readSysctl } from '../host/sysctl'
import { linkList } from '../netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../netlink/socket'
import { findHolders, type Holders, ownPidNamespace } from './holders'

/** Device and inode: what tells two network namespaces apart. */
export type NetnsNumber = { readonly dev: number; readonly ino: number }

/** This host as it can be seen from this process. */
export type HostView = {
  /** The kernel's random/boot_id; empty where that cannot be read. */
  readonly bootID: string
  /** Is that the kernel's own, and not one that a container has been given? */
  isKernelsBootID(): boolean
  /** When this boot was, in milliseconds since the epoch. */
  bootTime(): number
  /** What has an earlier time was written before this boot, in milliseconds since the epoch; -Infinity if nothing tells. */
  startOfBoot(): number
  /** The host's name. */
  host(): string
  /** The inode of this process's PID namespace; 0 where that cannot be told. */
  pidNamespace(): number
  /** Milliseconds since the epoch. */
  now(): number
  /** The object at the path of a network namespace: "nothing", or "hidden" from this process. */
  netnsAt(path: string): NetnsNumber | 'nothing' | 'hidden'
  /** The namespaces that live; `pidNamespace` is where their processes are known to be. */
  holders(pidNamespace: number | undefined): Holders
  /** The host's end of an attachment's veth, by its alias, whose other end is in another namespace. */
  vethOf(id: Attachment): string | undefined
}

/** A function that asks once and then remembers. */
export const once = <T>(ask: () => T): (() => T) => {
  let answer: { readonly value: T } | undefined
  return () => {
    answer ??= { value: ask() }
    return answer.value
  }
}

/** What there is not: the path of a process that has ended cannot even be asked for. */
const nothing = ['ENOENT', 'ENOTDIR', 'ESRCH']

const netnsAt = (path: string): NetnsNumber | 'nothing' | 'hidden' => {
  try {
    const { dev, ino } = statSync(path)
    return { dev, ino }
  } catch (error) {
    return nothing.includes(errnoOf(error) ?? '') ? 'nothing' : 'hidden'
  }
}

/** The veths of this namespace whose other ends are elsewhere: name by alias. */
const connectedVeths = (): Map<string, string> => {
  const links = withNetlink(NETLINK_ROUTE, linkList)
  const connected = links.filter(({ kind, peerNetnsId }) => kind === 'veth' && peerNetnsId !== undefined)
  return new Map(connected.map(({ alias, name }) => [alias, name]))
}

/** A process asks once: kubenet needs it for the lease and for the host ports. */
const bootID = once(() => readSysctl('kernel/random/boot_id') ?? '')

const startOfBootIfTold = (): number => {
  try {
    return startOfBoot()
  } catch {
    return Number.NEGATIVE_INFINITY
  }
}

/** The host the process runs on. */
export const thisHost = (): HostView => {
  const veths = once(connectedVeths)
  const everywhere = once(() => findHolders())
  const own = once(() => findHolders(ownPidNamespace()))
  return {
    bootID: bootID(),
    isKernelsBootID: once(isKernelsBootID),
    bootTime: once(bootTime),
    startOfBoot: once(startOfBootIfTold),
    host: once(() => readSysctl('kernel/hostname') ?? ''),
    pidNamespace: once(ownPidNamespace),
    now: () => Date.now(),
    netnsAt,
    holders: pidNamespace => (pidNamespace === ownPidNamespace() ? own() : everywhere()),
    vethOf: id => veths().get(formatAlias(id)),
  }
}
