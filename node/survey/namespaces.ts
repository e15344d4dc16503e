/** The network namespaces of the node, found by their mounts and by their processes, and what is inside of them. */

import { closeSync, constants, openSync, statSync } from 'node:fs'
import { errnoOf } from '../../src/host/errno'
import { isFrom } from '../../src/host/system-error'
import { type Addr, type Family, formatAddr } from '../../src/ip/addr'
import { findHolders, ownPidNamespace } from '../../src/life/holders'
import { addrList } from '../../src/netlink/addr'
import { IFF_UP, linkList } from '../../src/netlink/link'
import { type Neighbour, neighList } from '../../src/netlink/neigh'
import { routeGet } from '../../src/netlink/route'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { netnsIdOf } from '../../src/netns/host-veth'
import { insideNetns } from '../../src/netns/netns'

/** A network namespace. */
type Namespace = {
  readonly dev: number
  readonly ino: number
  /** Where it is mounted, as "ip netns" and runtimes do. */
  readonly paths: readonly string[]
  /** A process that is in it; undefined if none is, or none that may be seen. */
  readonly pid: number | undefined
}

/** An interface inside of a namespace that has a link to the host's. */
export type ContainerInterface = {
  readonly netns: Namespace
  readonly index: number
  readonly name: string
  readonly mtu: number
  readonly mac: string
  readonly up: boolean
  /** A veth's other end, by its index on the host. */
  readonly peer: number
  /** With prefix lengths: "10.244.1.2/24"; those of the link alone are left out. */
  readonly addresses: readonly string[]
  /** The neighbours it sends to without asking for them again. */
  readonly neighbours: readonly Neighbour[]
  /** Of its whole namespace: is the loopback interface up, and the families that lead somewhere outside. */
  readonly isLoopbackUp: boolean
  readonly leadsOut: readonly Family[]
}

/** All namespaces that could be seen. */
export type Namespaces = {
  readonly own: { readonly dev: number; readonly ino: number }
  readonly byInode: ReadonlyMap<number, Namespace>
  /** Could every process be asked? If not, a namespace that is not here may be there. */
  readonly complete: boolean
}

/** Finds every network namespace that a process is in or that is mounted somewhere. */
export const findNamespaces = (): Namespaces => {
  const { dev, ino } = statSync('/proc/thread-self/ns/net')
  const { byInode, blind } = findHolders(ownPidNamespace())
  const namespaces = [...byInode].map(([found, holder]) => [found, { dev, ino: found, ...holder }] as const)
  return { own: { dev, ino }, byInode: new Map(namespaces), complete: blind === undefined }
}

/** How people find a namespace: its first path, else the one of a process in it. */
export const namespacePath = ({ paths, pid }: Namespace): string => paths[0] ?? `/proc/${pid}/ns/net`

/** <linux/rtnetlink.h> */
const RT_SCOPE_LINK = 253

/** <linux/if.h> */
const IFF_LOOPBACK = 0x8

/** Addresses of documentation (RFC 5737, RFC 3849), which stand for any outside. */
const elsewhere: Record<Family, Addr> = {
  4: { family: 4, bits: 0xcb00_7101n },
  6: { family: 6, bits: (0x2001_0db8n << 96n) | 1n },
}

/** Would a packet to an address find a way? One route may refuse what another one leads. */
const leads = (nl: NetlinkSocket, to: Addr): boolean => {
  try {
    return routeGet(nl, to) !== undefined
  } catch (error) {
    if (isFrom(error, 'netlink')) return false
    throw error
  }
}

const readInside = (netns: Namespace, fd: number): ContainerInterface[] => {
  const nl = insideNetns({ ...netns, path: namespacePath(netns), fd }, () =>
    NetlinkSocket.open(NETLINK_ROUTE),
  )
  try {
    const addrs = addrList(nl)
    const links = linkList(nl)
    const neighbours = neighList(nl)
    const isLoopbackUp = links.some(({ flags }) => (flags & IFF_LOOPBACK) !== 0 && (flags & IFF_UP) !== 0)
    const leadsOut = ([4, 6] as const).filter(family => leads(nl, elsewhere[family]))
    return links
      .filter(({ peer }) => peer !== 0)
      .map(({ index, name, mtu, mac, flags, peer }) => ({
        netns,
        index,
        name,
        mtu,
        mac,
        up: (flags & IFF_UP) !== 0,
        peer,
        addresses: addrs
          .filter(addr => addr.index === index && addr.scope < RT_SCOPE_LINK)
          .map(({ cidr }) => `${formatAddr(cidr.addr)}/${cidr.prefix}`),
        neighbours: neighbours.filter(neighbour => neighbour.index === index),
        isLoopbackUp,
        leadsOut,
      }))
  } finally {
    nl.close()
  }
}

/** What was found inside of the namespaces, and how many could not be looked into. */
export type Insides = {
  /** Of each namespace that has links to this one, by the number this one has for it. */
  readonly byNsid: ReadonlyMap<number, readonly ContainerInterface[]>
  readonly closed: number
}

/** Looks into every namespace that is linked with the socket's. Others, a browser's for one, are not entered. */
export const readInsides = (
  nl: NetlinkSocket,
  { byInode, own }: Namespaces,
  tell: (what: string) => void,
): Insides => {
  const byNsid = new Map<number, ContainerInterface[]>()
  let closed = 0
  for (const [at, netns] of [...byInode.values()].entries()) {
    tell(`network namespace ${at + 1} of ${byInode.size}`)
    if (netns.ino === own.ino) continue
    let fd: number | undefined
    try {
      fd = openSync(namespacePath(netns), constants.O_RDONLY | constants.O_NONBLOCK)
      const nsid = netnsIdOf(nl, fd)
      if (nsid !== undefined) byNsid.set(nsid, readInside(netns, fd))
    } catch (error) {
      // One that has ended since is no loss.
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ESRCH') closed++
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }
  return { byNsid, closed }
}
