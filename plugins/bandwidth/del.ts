/** What shapes an attachment, and removing it. */
import type { Attachment } from '../../src/attachment/attachment'
import { ifbNames, isAliasOf } from '../../src/attachment/interfaces'
import { runAll } from '../../src/cni/error'
import { type Call, prevResultOf } from '../../src/cni/plugin'
import { warn } from '../../src/host/log'
import { type Link, linkByIndex, linkByName, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { ingressFilters } from '../../src/netlink/tc'
import { readBandwidthConf } from './config'
import { findHostVethOf } from './host-veth'
import { isMarkedAs, isUnmarked, type Redirect, redirectList } from './ifb'
import { takeDownRedirect, takeDownShaper } from './shaper'

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
    `bandwidth: ifb "${ifb.name}" is kept: "${stranger.name}" uses it, perhaps as another interface of container ` +
      `${id.containerID}; "kubenet gc" removes the ifb when nothing uses it`,
  )
  return false
}

/**
 * The ifbs of an attachment. One that bears no mark was made by the reference, for whichever interface of the
 * container: it is this one's if nothing uses it, or only what is proven to be the host's end of this one.
 */
const ifbsOf = (nl: NetlinkSocket, id: Attachment, end: HostEnd): Link[] => {
  const found = ifbNames(id).flatMap(name => linkByName(nl, name) ?? [])
  const marked = found.filter(link => isMarkedAs(link, id))
  if (marked.length > 0) return marked
  return found.filter(isUnmarked).filter(ifb => isOwnUnmarked(nl, ifb, id, end))
}

/** Removes an ifb after what leads to it: packets redirected to an interface that is gone are lost. */
export const takeDownIfb = (nl: NetlinkSocket, ifb: Link, redirects: readonly Redirect[]): void => {
  for (const { from } of redirects.filter(({ to }) => to === ifb.index)) {
    const veth = linkByIndex(nl, from)
    if (!veth) continue
    takeDownRedirect(nl, veth, [ifb])
    takeDownShaper(nl, veth)
  }
  linkDel(nl, ifb)
}

/** Possible leftovers of an attachment's limits: on the host's end of its veth pair, if there is one, and its ifbs. */
export type Shaping = { readonly veth: Link | undefined; readonly ifbs: readonly Link[] }

export const findShaping = (nl: NetlinkSocket, call: Call): Shaping => {
  const { network } = readBandwidthConf(call)
  const { containerID, ifName } = call.env
  const id = { network, containerID, ifName }
  const veth = findHostVethOf(nl, call) ?? findOutOfReach(nl, call, id)
  return { veth, ifbs: ifbsOf(nl, id, { veth, named: hostNames(call) }) }
}

/** The host's end where the namespace cannot be opened: the one whose alias says so. Warns if there is none. */
const findOutOfReach = (nl: NetlinkSocket, { outOfReach }: Call, id: Attachment): Link | undefined => {
  if (!outOfReach) return undefined
  const veth = linkList(nl).find(({ kind, alias }) => kind === 'veth' && isAliasOf(alias, id))
  if (!veth)
    warn(
      `bandwidth: limits on the host's end of "${id.ifName}" may stay until it is deleted: ` +
        `${outOfReach.message}: ${outOfReach.details}`,
    )
  return veth
}

/** The host's interfaces in the runtime's result; none if that cannot be read. */
const hostNames = (call: Call): string[] => {
  try {
    const interfaces = prevResultOf(call)?.interfaces ?? []
    return interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name)
  } catch {
    return []
  }
}

/**
 * Removes the attachment's ifb and what leads to it. The qdiscs of the veth pair would go with it, but it may outlive
 * this call: in a chain, the plugin that made it comes after this one, and a redirect to nowhere loses packets.
 */
export const takeDownShaping = (nl: NetlinkSocket, { veth, ifbs }: Shaping): Promise<void> =>
  runAll([
    () => {
      if (veth) takeDownRedirect(nl, veth, ifbs)
    },
    () => {
      if (veth) takeDownShaper(nl, veth)
    },
    ...ifbs.map(ifb => () => takeDownIfb(nl, ifb, veth ? [] : redirectList(nl))),
  ])

export const del = async (call: Call): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    await takeDownShaping(nl, findShaping(nl, call))
  } finally {
    nl.close()
  }
}
