import { getString, parseAttributes } from 'netlink/dist/structs'

// <linux/netlink.h>                               offset
// struct nlmsgerr {
//   int error;                                    0
//   struct nlmsghdr msg;                          4
// };                                              20 bytes, then attributes if NLM_F_ACK_TLVS is set
// NETLINK_CAP_ACK keeps the kernel from putting the refused request's body between the two; where an old kernel
// does not know that option, the length in the copied header says how far to skip.
const SIZEOF_NLMSGERR = 20
const SIZEOF_NLMSGHDR = 16
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1

/** The sentence the kernel added to its refusal (NLMSGERR_ATTR_MSG), or "" if it has none. */
export const extendedAck = (message: { flags: number; data: Buffer }): string => {
  if (!(message.flags & NLM_F_ACK_TLVS) || message.data.length < SIZEOF_NLMSGERR) return ''
  const { data, flags } = message
  const skipped = flags & NLM_F_CAPPED ? 0 : data.readUInt32LE(4) - SIZEOF_NLMSGHDR
  let text = ''
  try {
    parseAttributes(data.subarray(SIZEOF_NLMSGERR + skipped), attribute => {
      if (attribute.type === NLMSGERR_ATTR_MSG) text = getString(attribute.data)
    })
  } catch {
    // An attribute that can't be read only costs the sentence; the errno is what counts.
  }
  return text
}
