import type { Call } from '../../src/cni/plugin'
import { endStep } from '../../src/host/log'
import { NetlinkError } from '../../src/netlink/error'
import { linkDelTogether } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { findHostVethOf } from '../bandwidth/host-veth'
import { ifbsOf } from '../bandwidth/teardown'
import type { KubenetConf } from './config'

/**
 * Deletes an attachment's veth pair and ifb in one message: the kernel lets whoever deletes a link wait, some 10 to 30
 * ms, and for several at once only once. Says whether it did; where there is no such pair of them, or the kernel does
 * not want to, each is left to the plugin that made it.
 */
export const deleteLinks = (call: Call, { network }: KubenetConf): boolean => {
  const { containerID, ifName } = call.env
  try {
    return withNetlink(NETLINK_ROUTE, nl => {
      const veth = findHostVethOf(nl, call)
      const ifbs = veth ? ifbsOf(nl, { network, containerID, ifName }, veth) : []
      if (!veth || ifbs.length === 0) return false
      linkDelTogether(nl, [veth, ...ifbs])
      endStep('links')
      return true
    })
  } catch (error) {
    if (error instanceof NetlinkError) return false
    throw error
  }
}
