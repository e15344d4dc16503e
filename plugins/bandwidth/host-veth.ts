import type { Attachment } from '../../src/attachment/attachment'
import { hostVethName, isAliasOf } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, requireNetns } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { isFrom } from '../../src/host/system-error'
import { type Link, linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { hostEndOf } from '../../src/netns/host-veth'
import { insideNetns, type Netns } from '../../src/netns/netns'

const readContainerLink = (netns: Netns, ifName: string): Link | undefined => {
  const nl = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    return linkByName(nl, ifName)
  } finally {
    nl.close()
  }
}

/** The host's end of an attachment's veth pair; undefined if there is no such interface, or no such pair. */
export const findHostVeth = (nl: NetlinkSocket, netns: Netns, id: Attachment): Link | undefined =>
  hostEndOf(nl, readContainerLink(netns, id.ifName), { id, netns })

const idOf = ({ conf, env }: Call): Attachment => ({
  network: conf.name,
  containerID: env.containerID,
  ifName: env.ifName,
})

/** The same for DEL: undefined also where the path leads to no network namespace (any more). */
export const findHostVethOf = (nl: NetlinkSocket, call: Call): Link | undefined => {
  const { netns } = call
  if (!netns) return undefined
  try {
    return findHostVeth(nl, netns, idOf(call))
  } catch (error) {
    if (isFrom(error, 'netns')) return undefined
    throw error
  }
}

/**
 * The veth that prevResult has for the attachment, if it is one of bridge's: its alias, which no container can write,
 * says whose it is, so that ADD need not ask the container. Undefined of any other.
 */
export const markedVeth = (nl: NetlinkSocket, call: Call, { interfaces }: Result): Link | undefined => {
  const own = hostVethName(call.env)
  if (!interfaces.some(({ name, sandbox }) => name === own && !sandbox)) return undefined
  const link = linkByName(nl, own)
  return link?.kind === 'veth' && isAliasOf(link.alias, idOf(call)) ? link : undefined
}

/** The same for ADD and CHECK, which cannot do without, and want it among the interfaces of prevResult. */
export const requireHostVeth = (nl: NetlinkSocket, call: Call, prevResult: Result): Link => {
  const netns = requireNetns(call)
  const { ifName } = call.env
  const unfit = (message: string, details: string) =>
    new CniError(ErrorCode.invalidNetworkConfig, message, { details })
  if (prevResult.interfaces.length === 0) {
    throw unfit(
      'no interfaces provided',
      '"prevResult" lists none; bandwidth needs the host’s end of a veth pair',
    )
  }
  const host = findHostVeth(nl, netns, idOf(call))
  if (!host) {
    throw unfit(
      `container interface ${ifName} has no veth peer`,
      `netns "${netns.path}" has no veth "${ifName}" with its other end on the host; bandwidth limits only such ` +
        'interfaces, as bridge and ptp make them',
    )
  }
  if (prevResult.interfaces.some(({ name, sandbox }) => name === host.name && !sandbox)) return host
  throw unfit(
    'no veth peer of container interface found in host ns',
    `"${host.name}", the peer of "${ifName}", is not among the host’s interfaces in "prevResult"`,
  )
}
