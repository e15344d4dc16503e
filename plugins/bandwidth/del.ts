import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { readBandwidthConf } from './config'
import { findHostVethOf } from './host-veth'
import { redirectList } from './redirects'
import { removeRedirect, removeShaper } from './shaper'
import { ifbsOf, removeIfb } from './teardown'

/**
 * Removes the attachment's ifb and what leads to it. The qdiscs of the veth pair would go with it, but it may outlive
 * this call: in a chain, the plugin that made it comes after this one, and a redirect to nowhere loses packets.
 */
export const del = async (call: Call): Promise<void> => {
  const { network } = readBandwidthConf(call)
  const { containerID, ifName } = call.env
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    const veth = findHostVethOf(nl, call)
    const ifbs = ifbsOf(nl, { network, containerID, ifName }, veth)
    await runAll([
      () => {
        if (veth) removeRedirect(nl, veth, ifbs)
      },
      () => {
        if (veth) removeShaper(nl, veth)
      },
      ...ifbs.map(ifb => () => removeIfb(nl, ifb, veth ? [] : redirectList(nl))),
    ])
  } finally {
    nl.close()
  }
}
