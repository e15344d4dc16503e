/** The numbers by which one network namespace knows others. */
import { unlessRefused } from './error'
import type { NetlinkSocket } from './socket'
import { messageBody, putU32, readAttributes } from './wire/message'

/** <linux/rtnetlink.h> and <linux/net_namespace.h> */
const RTM_NEWNSID = 88
const RTM_GETNSID = 90
const NETNSA_NSID = 1
const NETNSA_FD = 3

// <linux/rtnetlink.h>                             offset
// struct rtgenmsg {
//   unsigned char rtgen_family;                   0
// };                                              1 byte, and three to align it
const SIZEOF_RTGENMSG = 4

/** The number that the socket's namespace has for the one behind `fd`; undefined if it has none. */
export const netnsIdOf = (nl: NetlinkSocket, fd: number): number | undefined => {
  const replies = unlessRefused(['EINVAL', 'ENOENT'], () =>
    nl.request('look up the number of a namespace', {
      type: RTM_GETNSID,
      body: messageBody(Buffer.alloc(SIZEOF_RTGENMSG), [[NETNSA_FD, putU32(fd)]]),
    }),
  )
  const reply = replies?.find(({ type }) => type === RTM_NEWNSID)
  const nsid = reply && readAttributes(reply.data, SIZEOF_RTGENMSG).get(NETNSA_NSID)
  return nsid?.length === 4 && nsid.readInt32LE(0) >= 0 ? nsid.readInt32LE(0) : undefined
}
