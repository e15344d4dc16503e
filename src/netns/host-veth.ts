/**
 * The host's end of a container's veth pair. A container with CAP_NET_ADMIN in its own namespace chooses the number of
 * its interface and that of the other end, so that both may be those of another container's pair. So they are only where
 * to look: the host's own end says whose it is, by what no container can write.
 */
import type { Attachment } from '../attachment/attachment'
import { isAliasOf } from '../attachment/interfaces'
import { unlessRefused } from '../netlink/error'
import { type Link, linkByIndex } from '../netlink/link'
import type { NetlinkSocket } from '../netlink/socket'
import { messageBody, putU32, readAttributes } from '../netlink/wire/message'
import type { Netns } from './netns'

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

/**
 * The host's end of `inside`, the interface of attachment `id` in `netns`; undefined if it is no
 * veth, or its other end is not proven to be on the host. `nl` must be in the host's namespace. The proof is the alias
 * that bridge gave it, or, for what another plugin made, that its own other end is in that namespace.
 */
export const hostEndOf = (
  nl: NetlinkSocket,
  inside: Link | undefined,
  { id, netns }: { id: Attachment; netns: Netns },
): Link | undefined => {
  if (inside?.kind !== 'veth' || inside.peer === 0) return undefined
  const host = linkByIndex(nl, inside.peer)
  if (host?.kind !== 'veth' || host.peer !== inside.index) return undefined
  if (isAliasOf(host.alias, id)) return host
  const { peerNetnsId } = host
  return peerNetnsId !== undefined && peerNetnsId === netnsIdOf(nl, netns.fd) ? host : undefined
}
