import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { readSysctl } from '../../src/host/sysctl'

/** Device and inode: what tells two network namespaces apart. */
export type NetnsNumber = { readonly dev: number; readonly ino: number }

/** What leases are judged by: this host, this boot, this moment. */
export type Here = {
  /** The kernel's random/boot_id; empty where that can't be read, and then nothing is certain. */
  readonly bootID: string
  /** The host's name. */
  host(): string
  /** Milliseconds since the epoch. */
  now(): number
  /** What is at the path of a network namespace; undefined if nothing is. */
  netnsAt(path: string): NetnsNumber | undefined
  /** The inodes of the network namespaces that a process is in or that are mounted somewhere. */
  livingNetns(): ReadonlySet<number>
}

/** A function that asks once and then remembers. */
export const once = <T>(ask: () => T): (() => T) => {
  let answer: { readonly value: T } | undefined
  return () => {
    answer ??= { value: ask() }
    return answer.value
  }
}

const inodeIn = (text: string): number => Number(/^net:\[(\d+)\]$/.exec(text)?.[1] ?? 0)

const netnsOfProcesses = (): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(pid => {
      try {
        return inodeIn(readlinkSync(`/proc/${pid}/ns/net`))
      } catch {
        return 0 // it has ended since, or is none of ours
      }
    })

// "… 47 29 0:4 net:[4026532401] /run/netns/a rw shared:1 - nsfs nsfs rw": proc(5), the fourth field is the root.
const mountedNetns = (): number[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map(line => inodeIn(line.split(' ')[3] ?? ''))

const netnsAt = (path: string): NetnsNumber | undefined => {
  try {
    const { dev, ino } = statSync(path)
    return { dev, ino }
  } catch {
    return undefined // the path of a process that has ended can't even be asked for
  }
}

/** The host the process runs on. */
export const thisHost = (): Here => ({
  bootID: readSysctl('kernel/random/boot_id') ?? '',
  host: once(() => readSysctl('kernel/hostname') ?? ''),
  now: () => Date.now(),
  netnsAt,
  livingNetns: () => new Set([...netnsOfProcesses(), ...mountedNetns()]),
})
