/**
 * Programs of the host that listen on a port which is to lead to a container. The packet filter comes first, so from
 * then on no client reaches them by it; neither they nor the container's owner would hear of that.
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { containerWithPod, podInArgs } from '../../src/attachment/attachment'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { warn } from '../../src/host/log'
import { addrEquals, type Family, formatAddr } from '../../src/ip/addr'
import { mappingsOf, type PortMapping } from '../../src/netfilter/rules/hostports/hostports'
import { type ListeningSocket, listeningSockets, NETLINK_SOCK_DIAG } from '../../src/netlink/sock-diag'
import { NetlinkSocket } from '../../src/netlink/socket'
import type { PortmapConf } from './config'

const families: readonly Family[] = [4, 6]

/** A port of one family that is to lead to the container, and a socket of the host that it is taken from. */
type Conflict = { readonly mapping: PortMapping; readonly socket: ListeningSocket }

const isEverywhere = ({ addr }: ListeningSocket): boolean => addr.bits === 0n

/** Does the socket get what comes to an address of that family? */
const serves = (socket: ListeningSocket, family: Family): boolean =>
  socket.addr.family === family || (family === 4 && isEverywhere(socket) && !socket.v6Only)

/** The sockets that would lose their port. Conditions cannot be compared with sockets. */
export const findConflicts = (conf: PortmapConf, sockets: readonly ListeningSocket[]): Conflict[] => {
  const open = conf.addresses
    .map(({ addr }) => addr.family)
    .filter(family => conf.conditions[family].length === 0)
  const conflicts = open.flatMap(family =>
    mappingsOf(conf, family).flatMap(mapping => {
      const { protocol, hostPort, hostIP } = mapping
      const socket = sockets.find(
        other =>
          other.protocol === protocol &&
          other.port === hostPort &&
          serves(other, family) &&
          (!hostIP || isEverywhere(other) || addrEquals(other.addr, hostIP)),
      )
      return socket ? [{ mapping, socket }] : []
    }),
  )
  // One socket on "::" is in the way of both families.
  return conflicts.filter(
    ({ mapping, socket }, i) =>
      conflicts.findIndex(other => other.mapping === mapping && other.socket === socket) === i,
  )
}

const hasSocket = (pid: string, inode: number): boolean => {
  try {
    return readdirSync(`/proc/${pid}/fd`).some(
      fd => readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`,
    )
  } catch {
    return false // it has ended, or closed the file, meanwhile
  }
}

/** The process that has a socket, "nginx (pid 123)"; undefined for one in another PID namespace. */
const ownerOf = ({ inode }: ListeningSocket): string | undefined => {
  try {
    const pid = readdirSync('/proc').find(name => /^\d+$/.test(name) && hasSocket(name, inode))
    return pid && `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`
  } catch {
    return undefined
  }
}

const describe = ({ mapping, socket }: Conflict): { message: string; details: string } => {
  const { protocol, hostPort, hostIP } = mapping
  const at = formatAddr(socket.addr)
  const where = socket.addr.family === 4 ? `${at}:${hostPort}` : `[${at}]:${hostPort}`
  return {
    message: `host port ${hostPort}/${protocol}${hostIP ? ` of ${formatAddr(hostIP)}` : ''} is in use on this host`,
    details: `${ownerOf(socket) ?? 'a process'} listens on ${where}`,
  }
}

/** The listening sockets of these protocols on the host. */
export const readSockets = (protocols: Iterable<PortMapping['protocol']>): ListeningSocket[] => {
  const nl = NetlinkSocket.open(NETLINK_SOCK_DIAG)
  try {
    // Also those of the other family: one on "::" may answer to IPv4.
    return [...new Set(protocols)].flatMap(protocol =>
      families.flatMap(family => listeningSockets(nl, family, protocol)),
    )
  } finally {
    nl.close()
  }
}

/**
 * Looks for programs of the host on the container's host ports. Warns of them on stderr, or throws code 7 for the
 * first, as the configuration has it.
 */
export const checkListeners = (conf: PortmapConf, call: Call): void => {
  if (conf.hostListeners === 'ignore') return
  const whose = containerWithPod({ containerID: conf.containerID, pod: podInArgs(call.env.args) })
  for (const conflict of findConflicts(conf, readSockets(conf.mappings.map(({ protocol }) => protocol)))) {
    const { message, details } = describe(conflict)
    if (conf.hostListeners === 'refuse') {
      throw new CniError(ErrorCode.invalidNetworkConfig, message, {
        details: `${details}; stop it, choose another host port, or remove "hostListeners": "refuse"`,
      })
    }
    warn(`portmap: ${message}: ${details}; clients do not reach it while container ${whose} has the port`)
  }
}
