/**
 * Requests to the kernel over a netlink socket, synchronous from end to end: the kernel does the work inside send(2)
 * and its answer is there when recv(2) asks, so there is nothing to wait for, and code between entering and leaving
 * a network namespace may use it.
 */
import { closeSync } from 'node:fs'
import { platform } from '#platform'
import { errnoName } from '../host/errno'
import { timed } from '../host/steps'
import { extendedAck, netlinkError } from './error'
import * as o from './raw-socket'
import { MSG_DONTWAIT, messagesOf, readDatagram, sockaddrNl } from './raw-socket'
import {
  type EntryFilter,
  joinMessages,
  messageBytes,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  type Reply,
} from './wire/message'

export type { Reply } from './wire/message'

/** <linux/netlink.h> */
export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12
const NLM_F_REQUEST = 0x1
export const NLM_F_ACK = 0x4
export const NLM_F_ECHO = 0x8
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
const NLM_F_DUMP = 0x300
const NLMSG_ERROR = 0x2
const NLMSG_DONE = 0x3

// The size that the kernel counts for an answer with a sentence in it; so many of them fit by default
// (net.core.rmem_default).
const answerBytes = 1024
const answersThatFit = 100
// The answer is ready when send(2) returns; a kernel that takes this long is stuck.
const receiveTimeoutSeconds = 10
// Among hundreds of pods, some of them coming and going, most readings of the interfaces are in vain.
const dumpSeconds = 5

/** One message to send: its type, its flags beyond NLM_F_REQUEST, and its body as buffers in order. */
export type Request = { type: number; flags?: number; body: readonly Uint8Array[] }

export class NetlinkSocket {
  readonly #fd: number
  #seq = 1

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** Opens a socket in the network namespace the calling thread is in now, where it stays. */
  static open(protocol: number): NetlinkSocket {
    const { libc } = platform
    const fd = libc.socket(o.AF_NETLINK, o.SOCK_RAW | o.SOCK_CLOEXEC, protocol)
    if (fd < 0) throw netlinkError('open a netlink socket', errnoName(fd))
    const socket = new NetlinkSocket(fd)
    // Messages of other processes do not enter a connected socket: neither for us to read, nor to fill it.
    libc.connect(fd, sockaddrNl())
    // Old kernels lack some of these; requests work without, with fewer words in errors and unfiltered dumps.
    for (const option of [o.NETLINK_EXT_ACK, o.NETLINK_CAP_ACK, o.NETLINK_GET_STRICT_CHK]) {
      libc.setsockopt(fd, o.SOL_NETLINK, option, o.int32(1))
    }
    libc.setsockopt(fd, o.SOL_SOCKET, o.SO_RCVTIMEO, o.timeval(receiveTimeoutSeconds))
    return socket
  }

  /** Sends one request and waits for its acknowledgement. Throws a SystemError that says `op` if it is refused. */
  request(op: string, request: Request): Reply[] {
    return timed('netlink', op, () => this.#request(op, request))
  }

  #request(op: string, request: Request): Reply[] {
    const seq = this.#send(op, request, NLM_F_REQUEST | NLM_F_ACK)
    const replies: Reply[] = []
    for (;;) {
      for (const message of this.#receiveAnswer(op)) {
        if (message.seq !== seq) continue
        if (message.type !== NLMSG_ERROR) replies.push(message)
        else {
          throwIfRefused(op, message)
          return replies
        }
      }
    }
  }

  /**
   * Reads a whole table, or the entries of it that `filter` lets through, again as long as it changes meanwhile; throws
   * EINTR if it never stops changing.
   */
  dump(op: string, request: Request, filter?: EntryFilter): Reply[] {
    const deadline = performance.now() + dumpSeconds * 1000
    for (let readings = 1; ; readings++) {
      const messages = timed('netlink', op, () => this.#dumpOnce(op, request, filter))
      if (messages) return messages
      if (performance.now() > deadline)
        throw netlinkError(op, 'EINTR', `the table changed during each of ${readings} readings`)
    }
  }

  /** The messages of one reading, or undefined if entries may be missing (NLM_F_DUMP_INTR). */
  #dumpOnce(op: string, request: Request, filter?: EntryFilter): Reply[] | undefined {
    const seq = this.#send(op, request, NLM_F_REQUEST | NLM_F_DUMP)
    const messages: Reply[] = []
    let interrupted = false
    for (;;) {
      for (const message of this.#receive(op, filter)) {
        if (message.seq !== seq) continue
        if (message.flags & NLM_F_DUMP_INTR) interrupted = true
        if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) {
          // NLMSG_DONE carries an errno too: a dump can fail in its middle.
          throwIfRefused(op, message)
          return interrupted ? undefined : messages
        }
        messages.push(message)
        // A kernel that answers a dump with a single message sends no NLMSG_DONE after it.
        if (!(message.flags & NLM_F_MULTI)) return messages
      }
    }
  }

  /**
   * Sends several requests in one datagram, as nf_tables wants its batches, and collects every answer to them.
   * Only requests with NLM_F_ACK are answered; the call ends when each of those was. The n-th request has the
   * sequence number the returned `first` plus n.
   */
  exchange(op: string, requests: readonly Request[]): { first: number; replies: Reply[] } {
    return timed('netlink', op, () => this.#exchange(op, requests))
  }

  #exchange(op: string, requests: readonly Request[]): { first: number; replies: Reply[] } {
    const first = this.#seq
    const messages: Uint8Array[][] = []
    const awaited = new Set<number>()
    for (const { type, flags = 0, body } of requests) {
      const seq = this.#nextSeq()
      if (flags & NLM_F_ACK) awaited.add(seq)
      messages.push(messageBytes({ type, flags: flags | NLM_F_REQUEST, seq }, body))
    }
    // Each request may be refused, and all answers come before the first can be read.
    if (requests.length > answersThatFit) {
      this.#widen(o.SO_RCVBUFFORCE, o.SO_RCVBUF, requests.length * answerBytes)
    }
    this.#sendBytes(op, joinMessages(messages))
    const replies: Reply[] = []
    while (awaited.size > 0) {
      for (const message of this.#receiveAnswer(op)) {
        if (message.seq < first) continue
        replies.push(message)
        if (message.type !== NLMSG_ERROR) continue
        awaited.delete(message.seq)
        // A refusal of the batch as a whole is answered under its first message, and nothing else is then.
        if (message.seq === first) return { first, replies }
      }
    }
    return { first, replies }
  }

  close(): void {
    closeSync(this.#fd)
  }

  #nextSeq(): number {
    const seq = this.#seq
    this.#seq = (seq % 0xffffffff) + 1
    return seq
  }

  #send(op: string, { type, flags = 0, body }: Request, always: number): number {
    const seq = this.#nextSeq()
    this.#sendBytes(op, Buffer.concat(messageBytes({ type, flags: flags | always, seq }, body)))
    return seq
  }

  #sendBytes(op: string, bytes: Buffer): void {
    let answer = platform.libc.send(this.#fd, bytes, 0)
    if (answer < 0 && errnoName(answer) === 'EMSGSIZE') {
      // A datagram must fit as a whole: by default 208 KiB (net.core.wmem_default).
      this.#widen(o.SO_SNDBUFFORCE, o.SO_SNDBUF, bytes.length)
      answer = platform.libc.send(this.#fd, bytes, 0)
    }
    if (answer < 0) throw netlinkError(op, errnoName(answer))
  }

  /** Widens a buffer of the socket: beyond the limits of net.core only with CAP_NET_ADMIN, else up to them. */
  #widen(force: number, otherwise: number, bytes: number): void {
    const { libc } = platform
    if (libc.setsockopt(this.#fd, o.SOL_SOCKET, force, o.int32(bytes)) >= 0) return
    libc.setsockopt(this.#fd, o.SOL_SOCKET, otherwise, o.int32(bytes))
  }

  /**
   * The answer to a change, which is made by now: without it the caller does not know what to undo. ENOBUFS says
   * that a datagram was lost, which need not be this one.
   */
  #receiveAnswer(op: string): Reply[] {
    const length = readDatagram(this.#fd)
    if (length >= 0 || errnoName(length) !== 'ENOBUFS') return messagesOf(op, length)
    const second = readDatagram(this.#fd, MSG_DONTWAIT)
    return messagesOf(op, second < 0 ? length : second)
  }

  #receive(op: string, filter?: EntryFilter): Reply[] {
    return messagesOf(op, readDatagram(this.#fd), filter)
  }
}

/** Runs `work` with a socket in the calling thread's namespace, which is closed afterwards. */
export const withNetlink = <T>(protocol: number, work: (nl: NetlinkSocket) => T): T => {
  const nl = NetlinkSocket.open(protocol)
  try {
    return work(nl)
  } finally {
    nl.close()
  }
}

/** Throws unless the errno at the start of an NLMSG_ERROR or NLMSG_DONE is 0. */
const throwIfRefused = (op: string, message: Reply): void => {
  const errno = message.data.length >= 4 ? message.data.readInt32LE(0) : 0
  if (errno !== 0) throw netlinkError(op, errnoName(errno), extendedAck(message))
}
