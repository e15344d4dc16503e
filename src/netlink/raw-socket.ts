/** Netlink sockets as the kernel has them: their options and addresses, and the datagrams that it sends. */
import { platform } from '#platform'
import { errnoName } from '../host/errno'
import { netlinkError } from './error'
import { type EntryFilter, type Reply, readMessages } from './wire/message'

/** <sys/socket.h>, <asm-generic/socket.h> */
export const AF_NETLINK = 16
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_RCVTIMEO = 20
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
/** <linux/netlink.h> */
export const SOL_NETLINK = 270
export const NETLINK_CAP_ACK = 10
export const NETLINK_EXT_ACK = 11
export const NETLINK_GET_STRICT_CHK = 12

/** An int in host order: little-endian, as all machines are that there are programs for. */
export const int32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32LE(value)
  return buffer
}

/** struct timeval, whole microseconds, rounded up. */
export const timeval = (seconds: number): Buffer => {
  const buffer = Buffer.alloc(16)
  // As one number first: the kernel refuses a second in microseconds beside the seconds.
  const usec = Math.ceil(seconds * 1e6)
  buffer.writeBigInt64LE(BigInt(Math.floor(usec / 1e6)), 0)
  buffer.writeBigInt64LE(BigInt(usec % 1e6), 8)
  return buffer
}

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
