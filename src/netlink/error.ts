import { errnoText } from '../host/errno'
import { isFrom, SystemError } from '../host/system-error'
import { readAttributes, readText } from './wire/message'

/** The remedy for an errno that means the same wherever it comes from. */
const remedies: Record<string, string> = {
  EPERM: 'run the plugin as root or with CAP_NET_ADMIN in the user namespace that owns the network namespace',
  ENOBUFS: 'the node is short of memory for sockets; try again',
}

/**
 * The kernel's refusal of a netlink request: `op` is what it was to do, with the object it was about, `code` the errno's
 * name. The details are the kernel's extended acknowledgement, if it sent one, the errno's text and the remedy.
 */
export const netlinkError = (op: string, code: string, extendedAck = ''): SystemError =>
  new SystemError('netlink', {
    message: `${op}: ${code}`,
    code,
    details: [extendedAck, errnoText(code), remedies[code]].filter(Boolean).join('; '),
  })

/** Runs `work` and turns a refusal with one of the errnos named into undefined: "already so" is no failure. */
export const unlessRefused = <T>(codes: readonly string[], work: () => T): T | undefined => {
  try {
    return work()
  } catch (error) {
    if (isFrom(error, 'netlink', ...codes)) return undefined
    throw error
  }
}

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
  try {
    return readText(readAttributes(data, SIZEOF_NLMSGERR + skipped).get(NLMSGERR_ATTR_MSG))
  } catch {
    return '' // without a readable attribute only the sentence is missing; the errno is what counts
  }
}
