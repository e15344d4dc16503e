/**
 * The host's end of a container's veth pair. A container with CAP_NET_ADMIN in its own namespace chooses the number of
 * its interface and that of the other end, so that both may be those of another container's pair. So they are only where
 * to look: the host's own end says whose it is, by what no container can write.
 */
import type { Attachment } from '../attachment/attachment'
import { isAliasOf } from '../attachment/interfaces'
import { type Link, linkByIndex } from '../netlink/link'
import { netnsIdOf } from '../netlink/netns-id'
import type { NetlinkSocket } from '../netlink/socket'
import type { Netns } from './netns'

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
