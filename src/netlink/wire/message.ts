import type { NetlinkMessage } from 'netlink/dist/structs'

/** An answer of the kernel that is not an acknowledgement; its `data` is the message's body. */
export type Reply = Pick<NetlinkMessage, 'type' | 'flags' | 'seq' | 'data'>

/** <linux/netlink.h> */
export const NLM_F_MULTI = 0x2
export const NLM_F_DUMP_INTR = 0x10
/** Types below are the protocol's own: errors, the end of a dump. */
const NLMSG_MIN_TYPE = 0x10

// struct nlmsghdr {                               offset
//   __u32 nlmsg_len;                              0
//   __u16 nlmsg_type, nlmsg_flags;                4, 6
//   __u32 nlmsg_seq, nlmsg_pid;                   8, 12
// };                                              16 bytes
const SIZEOF_NLMSGHDR = 16

/** Is it one of many entries of a list, with nothing to say about the list itself? */
const isEntry = (type: number, flags: number): boolean =>
  type >= NLMSG_MIN_TYPE && (flags & NLM_F_MULTI) !== 0 && (flags & NLM_F_DUMP_INTR) === 0

/**
 * Which entries of a list are worth reading: asked once for each datagram, the answer for each entry in it, whose body
 * is from `start` to before `end`. Most of what reading a long list costs is making objects of its entries.
 */
export type EntryFilter = (datagram: Buffer) => (start: number, end: number) => boolean

/** Entries that have these bytes somewhere. */
export const holding =
  (bytes: Uint8Array): EntryFilter =>
  datagram => {
    let hit = datagram.indexOf(bytes)
    return (start, end) => {
      if (hit >= 0 && hit < start) hit = datagram.indexOf(bytes, start)
      return hit >= 0 && hit < end
    }
  }

/**
 * The messages in a datagram; of the entries of a list only those that `filter` lets through. Throws on a length that
 * cannot be.
 */
export const readMessages = (datagram: Buffer, filter?: EntryFilter): Reply[] => {
  const messages: Reply[] = []
  const wanted = filter?.(datagram)
  for (let at = 0; at < datagram.length; ) {
    if (datagram.length - at < SIZEOF_NLMSGHDR) throw new Error('a message is cut off')
    const length = datagram.readUInt32LE(at)
    const end = at + length
    if (length < SIZEOF_NLMSGHDR || end > datagram.length) throw new Error(`a message of ${length} bytes`)
    const type = datagram.readUInt16LE(at + 4)
    const flags = datagram.readUInt16LE(at + 6)
    const start = at + SIZEOF_NLMSGHDR
    if (!wanted || !isEntry(type, flags) || wanted(start, end)) {
      messages.push({ type, flags, seq: datagram.readUInt32LE(at + 8), data: datagram.subarray(start, end) })
    }
    // The next one begins at a multiple of four.
    at += (length + 3) & ~3
  }
  return messages
}
