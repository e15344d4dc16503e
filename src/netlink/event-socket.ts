/** Announcements of the kernel over a netlink socket. */
import { closeSync } from 'node:fs'
import { platform } from '#platform'
import { errnoName } from '../host/errno'
import { timed } from '../host/steps'
import { netlinkError } from './error'
import {
  AF_NETLINK,
  messagesOf,
  readDatagram,
  SO_RCVTIMEO,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
  sockaddrNl,
  timeval,
} from './raw-socket'
import { type Reply, readMessages } from './wire/message'

// The kernel makes them of NLMSG_GOODSIZE, a page less its own header; several of nf_tables may be in one.
const announcementBytes = 64 * 1024

export class EventSocket {
  readonly #fd: number

  private constructor(fd: number) {
    this.#fd = fd
  }

  /**
   * Opens a socket in the calling thread's namespace that hears what the kernel announces in these multicast groups,
   * below 32. It must be bound: a socket without a port ID of its own counts as the kernel's, which announces nothing to
   * itself (do_one_broadcast in net/netlink/af_netlink.c).
   */
  static open(protocol: number, groups: readonly number[]): EventSocket {
    const { libc } = platform
    const op = 'listen for kernel notifications'
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
    if (fd < 0) throw netlinkError(op, errnoName(fd))
    const answer = libc.bind(fd, sockaddrNl(groups))
    if (answer >= 0) return new EventSocket(fd)
    closeSync(fd)
    throw netlinkError(op, errnoName(answer))
  }

  /** The next announcements, or none if `seconds` pass without. Blocks the process. */
  next(op: string, seconds: number): Reply[] {
    platform.libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeval(Math.max(seconds, 1e-6)))
    const length = timed('netlink', op, () => readDatagram(this.#fd))
    return length < 0 && errnoName(length) === 'EAGAIN' ? [] : messagesOf(op, length)
  }

  /** The next announcements, whenever they come; undefined if some were lost, as more came than the socket holds. */
  async upcoming(op: string): Promise<Reply[] | undefined> {
    const buffer = Buffer.alloc(announcementBytes)
    const length = await platform.nextDatagram(this.#fd, buffer)
    if (length >= 0) return readMessages(buffer.subarray(0, length))
    const code = errnoName(length)
    if (code === 'ENOBUFS') return undefined
    throw netlinkError(op, code)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
