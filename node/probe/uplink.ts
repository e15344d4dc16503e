/** How this node reaches what is beyond it. */
import type { Addr, Family } from '../../src/ip/addr'
import { addrList } from '../../src/netlink/addr'
import { RT_TABLE_MAIN, routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'

/** The gateway of the default route, and the node's own address on the interface that leads there. */
export type Uplink = { readonly gateway: Addr | undefined; readonly own: Addr | undefined }

/** <linux/rtnetlink.h>: RT_SCOPE_UNIVERSE, of addresses that others may know. */
const globalScope = 0

/** The uplink of a family, by the first of the default routes that counts; undefined if there is none. */
export const uplinkOf = (family: Family): Uplink | undefined => {
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    const [route] = routeList(nl, family)
      .filter(({ dst, table }) => dst.prefix === 0 && table === RT_TABLE_MAIN)
      .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
    if (!route) return undefined
    const { index } = route
    const own = addrList(nl, { index, family }).find(({ scope }) => scope === globalScope)?.cidr.addr
    return { gateway: route.gw, own }
  } finally {
    nl.close()
  }
}
