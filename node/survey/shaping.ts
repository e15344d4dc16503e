/** Rates: the token buckets of veths and ifbs, and what sends a veth's packets to an ifb. */

import { redirectList } from '../../plugins/bandwidth/redirects'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { qdiscList, readTbf, TC_H_ROOT } from '../../src/netlink/tc'

/** What of traffic control belongs to attachments. */
export type Shaping = {
  /** Bits a second that an interface sends at most, by its ifindex. */
  readonly rates: ReadonlyMap<number, number>
  /** The ifb that gets what an interface receives, both by ifindex; 0 for one that is gone. */
  readonly redirects: ReadonlyMap<number, number>
  /** Those ifbs. */
  readonly used: ReadonlySet<number>
}

const bitsPerByte = 8

/** Reads the qdiscs and redirects of all interfaces. */
export const readShaping = (nl: NetlinkSocket): Shaping => {
  const rates = new Map<number, number>()
  const qdiscs = qdiscList(nl)
  for (const { index, parent, kind, options } of qdiscs) {
    const tbf = kind === 'tbf' && parent === TC_H_ROOT && options ? readTbf(options) : undefined
    if (tbf) rates.set(index, tbf.rateBytes * bitsPerByte)
  }
  const redirects = new Map(redirectList(nl, qdiscs).map(({ from, to }) => [from, to]))
  return { rates, redirects, used: new Set(redirects.values()) }
}
