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
 * The messages in a datagram. With `holding` the entries of a list that do not have these bytes anywhere are left out:
 * most of what reading a long list costs is making objects of its entries. Throws on a length that can't be.
 */
export const readMessages = (datagram: Buffer, holding?: Uint8Array): Reply[] => {
  const messages: Reply[] = []
  let hit = holding ? datagram.indexOf(holding) : -1
  for (let at = 0; at < datagram.length; ) {
    if (datagram.length - at < SIZEOF_NLMSGHDR) throw new Error('a message is cut off')
    const length = datagram.readUInt32LE(at)
    const end = at + length
    if (length < SIZEOF_NLMSGHDR || end > datagram.length) throw new Error(`a message of ${length} bytes`)
    const type = datagram.readUInt16LE(at + 4)
    const flags = datagram.readUInt16LE(at + 6)
    const isHit = hit >= at && hit < end
    if (!holding || isHit || !isEntry(type, flags)) {
      const data = datagram.subarray(at + SIZEOF_NLMSGHDR, end)
      messages.push({ type, flags, seq: datagram.readUInt32LE(at + 8), data })
    }
    if (holding && isHit) hit = datagram.indexOf(holding, end)
    // The next one begins at a multiple of four.
    at += (length + 3) & ~3
  }
  return messages
}
