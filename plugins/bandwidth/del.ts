import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Link } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { readBandwidthConf } from './config'
import { findHostVethOf } from './host-veth'
import { redirectList } from './redirects'
import { removeRedirect, removeShaper } from './shaper'
import { ifbsOf, removeIfb } from './teardown'

/** What may be left of an attachment's limits: on the host's end of its veth pair, if there is one, and its ifbs. */
export type Shaping = { readonly veth: Link | undefined; readonly ifbs: readonly Link[] }

export const findShaping = (nl: NetlinkSocket, call: Call): Shaping => {
  const { network } = readBandwidthConf(call)
  const { containerID, ifName } = call.env
  const veth = findHostVethOf(nl, call)
  return { veth, ifbs: ifbsOf(nl, { network, containerID, ifName }, veth) }
}

/**
 * Removes the attachment's ifb and what leads to it. The qdiscs of the veth pair would go with it, but it may outlive
 * this call: in a chain, the plugin that made it comes after this one, and a redirect to nowhere loses packets.
 */
export const removeShaping = (nl: NetlinkSocket, { veth, ifbs }: Shaping): Promise<void> =>
  runAll([
    () => {
      if (veth) removeRedirect(nl, veth, ifbs)
    },
    () => {
      if (veth) removeShaper(nl, veth)
    },
    ...ifbs.map(ifb => () => removeIfb(nl, ifb, veth ? [] : redirectList(nl))),
  ])

export const del = async (call: Call): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    await removeShaping(nl, findShaping(nl, call))
  } finally {
    nl.close()
  }
}
