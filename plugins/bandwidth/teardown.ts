import type { Attachment } from '../../src/attachment/attachment'
import { ifbNames, isAliasOf } from '../../src/attachment/interfaces'
import { warn } from '../../src/host/log'
import { type Link, linkByIndex, linkByName, linkDel } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { ingressFilters } from '../../src/netlink/tc'
import { isMarkedAs, isUnmarked } from './ifb'
import { type Redirect, redirectList } from './redirects'
import { removeRedirect, removeShaper } from './shaper'

/** The host's end of an attachment's veth pair, as far as it is known. */
type HostEnd = {
  /** Undefined where the container's interface is gone or out of reach. */
  readonly veth: Link | undefined
  /** The names of the host's interfaces in the runtime's result. */
  readonly named: readonly string[]
}

/** Does the host prove that the interface is the attachment's: by its alias or, without one, by the runtime's result? */
const isProven = ({ alias, name }: Link, id: Attachment, named: readonly string[]): boolean =>
  alias ? isAliasOf(alias, id) : named.includes(name)

/** Is an ifb without a mark the attachment's? Its name is the same for all interfaces of the container on the network. */
const isOwnUnmarked = (nl: NetlinkSocket, ifb: Link, id: Attachment, { veth, named }: HostEnd): boolean => {
  if (veth && ingressFilters(nl, veth).redirects.some(({ to }) => to === ifb.index)) return true
  const users = redirectList(nl).filter(({ to }) => to === ifb.index)
  if (users.length === 0 || veth) return users.length === 0
  const links = users.flatMap(({ from }) => linkByIndex(nl, from) ?? [])
  const stranger = links.find(link => !isProven(link, id, named))
  if (!stranger) return true
  warn(
    `bandwidth: ifb "${ifb.name}" stays: "${stranger.name}" uses it, and may be another interface of container ` +
      `${id.containerID} than "${id.ifName}"; "kubenet gc" removes the ifb when nothing uses it`,
  )
  return false
}

/**
 * The ifbs of an attachment. One that bears no mark was made by the reference, for whichever interface of the
 * container: it is this one's if nothing uses it, or only what is proven to be the host's end of this one.
 */
export const ifbsOf = (nl: NetlinkSocket, id: Attachment, end: HostEnd): Link[] => {
  const found = ifbNames(id).flatMap(name => linkByName(nl, name) ?? [])
  const marked = found.filter(link => isMarkedAs(link, id))
  if (marked.length > 0) return marked
  return found.filter(isUnmarked).filter(ifb => isOwnUnmarked(nl, ifb, id, end))
}

/** Removes an ifb after what leads to it: packets redirected to an interface that is gone are lost. */
export const removeIfb = (nl: NetlinkSocket, ifb: Link, redirects: readonly Redirect[]): void => {
  for (const { from } of redirects.filter(({ to }) => to === ifb.index)) {
    const veth = linkByIndex(nl, from)
    if (!veth) continue
    removeRedirect(nl, veth, [ifb])
    removeShaper(nl, veth)
  }
  linkDel(nl, ifb)
}
