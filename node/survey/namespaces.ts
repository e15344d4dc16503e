/** The network namespaces of the node, found by their mounts and by their processes, and what is inside of them. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { errnoOf } from '../../src/cni/error'
import { formatAddr } from '../../src/ip/addr'
import { addrList } from '../../src/netlink/addr'
import { unlessRefused } from '../../src/netlink/error'
import { IFF_UP, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { messageBody, putU32, readAttributes } from '../../src/netlink/wire/attributes'
import { insideNetns } from '../../src/netns/netns'

/** <linux/rtnetlink.h> and <linux/net_namespace.h> */
const RTM_NEWNSID = 88
const RTM_GETNSID = 90
const NETNSA_NSID = 1
const NETNSA_FD = 3

// <linux/rtnetlink.h>                             offset
// struct rtgenmsg {
//   unsigned char rtgen_family;                   0
// };                                              1 byte, and three to align it
const SIZEOF_RTGENMSG = 4

/** A network namespace. */
export type Namespace = {
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
}

/** All namespaces that could be seen. */
export type Namespaces = {
  readonly own: { readonly dev: number; readonly ino: number }
  readonly byInode: ReadonlyMap<number, Namespace>
  /** Could every process be asked? If not, a namespace that is not here may be there. */
  readonly complete: boolean
}

const inodeIn = (text: string): number => Number(/^net:\[(\d+)\]$/.exec(text)?.[1] ?? 0)

// "47 29 0:4 net:[4026532401] /run/netns/a rw shared:1 - nsfs nsfs rw": proc(5); blanks in paths are octal escapes.
const mountedNamespaces = (): { ino: number; path: string }[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map(line => line.split(' '))
    .map(fields => ({ ino: inodeIn(fields[3] ?? ''), path: (fields[4] ?? '').replaceAll('\\040', ' ') }))
    .filter(({ ino }) => ino !== 0)

/** <linux/proc_ns.h>, PROC_PID_INIT_INO: from every other PID namespace only some processes can be seen. */
const initialPidNamespace = 'pid:[4026531836]'

/** Init is in the host's own namespace; with more capabilities than we have, it can't be asked. */
const init = '1'

type ProcessNamespaces = { readonly pids: Map<number, number>; readonly complete: boolean }

/** The first process of each namespace. */
const processNamespaces = (): ProcessNamespaces => {
  const pids = new Map<number, number>()
  let complete = readlinkSync('/proc/self/ns/pid') === initialPidNamespace
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const ino = inodeIn(readlinkSync(`/proc/${name}/ns/net`))
      if (ino !== 0 && !pids.has(ino)) pids.set(ino, Number(name))
    } catch (error) {
      // One that has ended since is no loss.
      if (name !== init && ['EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) complete = false
    }
  }
  return { pids, complete }
}

/** Finds every network namespace that a process is in or that is mounted somewhere. */
export const findNamespaces = (): Namespaces => {
  const { dev, ino } = statSync('/proc/thread-self/ns/net')
  const { pids, complete } = processNamespaces()
  const byInode = new Map<number, { dev: number; ino: number; paths: string[]; pid: number | undefined }>()
  for (const [found, pid] of pids) byInode.set(found, { dev, ino: found, paths: [], pid })
  for (const { ino: found, path } of mountedNamespaces()) {
    const known = byInode.get(found)
    if (known) known.paths.push(path)
    else byInode.set(found, { dev, ino: found, paths: [path], pid: undefined })
  }
  return { own: { dev, ino }, byInode, complete }
}

/** How people find a namespace: its first path, else the one of a process in it. */
export const namespacePath = ({ paths, pid }: Namespace): string => paths[0] ?? `/proc/${pid}/ns/net`

/** The number that the socket's namespace has for the one behind `fd`; undefined if it has none. */
const nsidOf = (nl: NetlinkSocket, fd: number): number | undefined => {
  const replies = unlessRefused(['EINVAL', 'ENOENT'], () =>
    nl.request('look up the number of a namespace', {
      type: RTM_GETNSID,
      body: messageBody(Buffer.alloc(SIZEOF_RTGENMSG), [[NETNSA_FD, putU32(fd)]]),
    }),
  )
  const reply = replies?.find(({ type }) => type === RTM_NEWNSID)
  const nsid = reply && readAttributes(reply.data, SIZEOF_RTGENMSG).get(NETNSA_NSID)
  return nsid?.length === 4 && nsid.readInt32LE(0) >= 0 ? nsid.readInt32LE(0) : undefined
}

/** <linux/rtnetlink.h> */
const RT_SCOPE_LINK = 253

const readInside = (netns: Namespace, fd: number): ContainerInterface[] => {
  const nl = insideNetns({ ...netns, path: namespacePath(netns), fd }, () =>
    NetlinkSocket.open(NETLINK_ROUTE),
  )
  try {
    const addrs = addrList(nl)
    return linkList(nl)
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
      fd = openSync(namespacePath(netns), 'r')
      const nsid = nsidOf(nl, fd)
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
