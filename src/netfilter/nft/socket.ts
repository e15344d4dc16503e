import { unlessRefused } from '../../netlink/error'
import { NETLINK_NETFILTER, NetlinkSocket } from '../../netlink/socket'
import { nftGeneration, noNftables } from './read'

/** Has the kernel answered this process already? */
let hasAnswered = false

const open = (): NetlinkSocket => {
  const nl = NetlinkSocket.open(NETLINK_NETFILTER)
  if (hasAnswered) return nl
  try {
    nftGeneration(nl)
    hasAnswered = true
    return nl
  } catch (error) {
    nl.close()
    throw error
  }
}

/** Runs `work` with a socket to nf_tables; undefined if the kernel has none, and so nothing to be found there. */
export const ifNftables = <T>(work: (nl: NetlinkSocket) => T): T | undefined => {
  const nl = unlessRefused(noNftables, open)
  if (!nl) return undefined
  try {
    return work(nl)
  } finally {
    nl.close()
  }
}

/**
 * The same, but the socket is closed only when the caller waits for the promise, with `work` done at once: after a
 * removal, closing waits until no processor can use what was removed (nft_rcv_nl_event in
 * net/netfilter/nf_tables_api.c), 10 to 20 ms in which something else can be done that the kernel takes as long for.
 */
export const ifNftablesMeanwhile = async <T>(work: (nl: NetlinkSocket) => T): Promise<T | undefined> => {
  const nl = unlessRefused(noNftables, open)
  if (!nl) return undefined
  try {
    const answer = work(nl)
    await undefined
    return answer
  } finally {
    nl.close()
  }
}

/** Does the kernel have nf_tables? Nothing is changed by asking. Throws if this process may not use them. */
export const hasNftables = (): boolean => ifNftables(() => true) ?? false
