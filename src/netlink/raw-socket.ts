/** Reading what the kernel sends over a netlink socket: answers and announcements. */

import { platform } from '#platform'
import { errnoName } from '../host/errno'
import { netlinkError } from './error'
import { AF_NETLINK } from './sockopt'
import { type EntryFilter, type Reply, readMessages } from './wire/message'

const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40

// The kernel fills at most 32 KiB a datagram of a dump (net/netlink/af_netlink.c, netlink_dump).
const receiveBufferBytes = 64 * 1024

// <linux/netlink.h>                               offset
// struct sockaddr_nl {
//   __kernel_sa_family_t nl_family; pad;          0, 2
//   __u32 nl_pid, nl_groups;                      4, 8
// };                                              12 bytes
const SIZEOF_SOCKADDR_NL = 12

/** A raw sockaddr_nl: port ID 0 is the kernel, or has it choose one, and each group is a bit. */
export const sockaddrNl = (groups: readonly number[] = []): Buffer => {
  const address = Buffer.alloc(SIZEOF_SOCKADDR_NL)
  address.writeUInt16LE(AF_NETLINK)
  address.writeInt32LE(
    groups.reduce((bits, group) => bits | (1 << (group - 1)), 0),
    8,
  )
  return address
}

type Received = { readonly buffer: Buffer; readonly sender: Buffer; readonly senderLength: Buffer }

let received: Received | undefined

/** Was it the kernel that sent the last datagram? It alone has port ID 0. */
const isFromKernel = ({ sender, senderLength }: Received): boolean =>
  senderLength.readUInt32LE(0) === SIZEOF_SOCKADDR_NL && sender.readUInt32LE(4) === 0

/**
 * Fills the buffer with the next datagram of the kernel: how long that is, or a negative errno. 0 if the next one was
 * another process's: with CAP_NET_ADMIN in the socket's namespace, as a container may have it, any can send some.
 */
export const readDatagram = (fd: number, flags = 0): number => {
  received ??= {
    buffer: Buffer.allocUnsafeSlow(receiveBufferBytes),
    sender: Buffer.alloc(SIZEOF_SOCKADDR_NL),
    senderLength: Buffer.alloc(4),
  }
  const { buffer, sender, senderLength } = received
  for (;;) {
    senderLength.writeUInt32LE(SIZEOF_SOCKADDR_NL, 0)
    const length = platform.libc.recvfrom(fd, buffer, MSG_TRUNC | flags, sender, senderLength)
    // A socket with a timeout says EINTR to a process that was stopped and goes on (signal(7)).
    if (length < 0 && errnoName(length) === 'EINTR') continue
    return length < 0 || isFromKernel(received) ? length : 0
  }
}

/** The messages in the buffer, after `length` was answered; throws a SystemError that says `op` if there are none. */
export const messagesOf = (op: string, length: number, filter?: EntryFilter): Reply[] => {
  if (length < 0 || !received) throw netlinkError(op, errnoName(length))
  const { buffer } = received
  if (length > buffer.length) {
    throw netlinkError(op, 'EMSGSIZE', `the kernel's answer of ${length} bytes does not fit`)
  }
  try {
    // A copy: the buffer is filled again while these messages are still in use.
    return readMessages(Buffer.from(buffer.subarray(0, length)), filter)
  } catch (error) {
    throw netlinkError(op, 'EBADMSG', error instanceof Error ? error.message : '')
  }
}
