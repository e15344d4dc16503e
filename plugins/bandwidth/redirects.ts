import type { NetlinkSocket } from '../../src/netlink/socket'
import { ingressFilters, qdiscList, TC_H_INGRESS, type TcObject } from '../../src/netlink/tc'

/** An interface whose received packets go to another one: the ifindexes of both. */
export type Redirect = { readonly from: number; readonly to: number }

/** Every redirect there is on the host. The cost grows with the number of shaped containers; `qdiscs` are the host's. */
export const redirectList = (nl: NetlinkSocket, qdiscs: readonly TcObject[] = qdiscList(nl)): Redirect[] =>
  qdiscs
    .filter(({ kind, parent }) => ['ingress', 'clsact'].includes(kind) && parent === TC_H_INGRESS)
    .flatMap(({ index }) =>
      ingressFilters(nl, { index, name: String(index) }).redirects.map(({ to }) => ({ from: index, to })),
    )

/** Does any interface send what it receives to this one? */
export const isUsed = (nl: NetlinkSocket, link: { index: number }): boolean =>
  redirectList(nl).some(({ to }) => to === link.index)
