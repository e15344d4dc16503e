/** Reading what the kernel sends over a netlink socket: answers and announcements. */
import { platform } from '#platform'
import { errnoName } from '../host/errno'
import { NetlinkError } from './error'
import { type EntryFilter, type Reply, readMessages } from './wire/message'

const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40

// The kernel fills at most 32 KiB a datagram of a dump (net/netlink/af_netlink.c, netlink_dump).
const receiveBufferBytes = 64 * 1024

let receiveBuffer: Buffer | undefined

/** Fills the buffer with the next datagram: how long that is, or a negative errno. */
export const readDatagram = (fd: number, flags = 0): number => {
  receiveBuffer ??= Buffer.allocUnsafeSlow(receiveBufferBytes)
  for (;;) {
    const length = platform.libc.recv(fd, receiveBuffer, MSG_TRUNC | flags)
    // A socket with a timeout says EINTR to a process that was stopped and goes on (signal(7)).
    if (length >= 0 || errnoName(length) !== 'EINTR') return length
  }
}

/** The messages in the buffer, after `length` was answered; throws a NetlinkError that says `op` if there are none. */
export const messagesOf = (op: string, length: number, filter?: EntryFilter): Reply[] => {
  if (length < 0 || !receiveBuffer) throw new NetlinkError(op, errnoName(length))
  if (length > receiveBuffer.length) {
    throw new NetlinkError(op, 'EMSGSIZE', `the kernel's answer of ${length} bytes does not fit`)
  }
  try {
    // A copy: the buffer is filled again while these messages are still in use.
    return readMessages(Buffer.from(receiveBuffer.subarray(0, length)), filter)
  } catch (error) {
    throw new NetlinkError(op, 'EBADMSG', error instanceof Error ? error.message : '')
  }
}
