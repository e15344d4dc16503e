import type { Attachment } from '../../src/attachment/attachment'
import { ifbNames } from '../../src/attachment/interface-names'
import { type Link, linkByIndex, linkByName, linkDel } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { ingressFilters } from '../../src/netlink/tc'
import { isMarkedAs, isUnmarked } from './ifb'
import { isUsed, type Redirect } from './redirects'
import { removeRedirect, removeShaper } from './shaper'

/**
 * The ifbs of an attachment. One that bears no mark was made by the reference, for whichever interface of the
 * container: it is taken for this one's unless another than the host veth given sends its packets there.
 */
export const ifbsOf = (nl: NetlinkSocket, id: Attachment, veth: Link | undefined): Link[] => {
  const found = ifbNames(id).flatMap(name => linkByName(nl, name) ?? [])
  const marked = found.filter(link => isMarkedAs(link, id))
  if (marked.length > 0) return marked
  return found.filter(isUnmarked).filter(ifb => {
    if (!veth || ingressFilters(nl, veth).redirects.some(({ to }) => to === ifb.index)) return true
    return !isUsed(nl, ifb)
  })
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
