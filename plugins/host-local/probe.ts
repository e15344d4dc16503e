/**
 * "probe": an address is given out only if no machine answers for it on that interface: devices on the same wire,
 * containers of other networks, or what an administrator gave out by hand. Only loaded where the key is set.
 */
import { CniError, ErrorCode } from '../../src/cni/error'
import { warn } from '../../src/host/log'
import { type Addr, formatAddr } from '../../src/ip/addr'
import type { Mac } from '../../src/ip/mac'
import { EventSocket } from '../../src/netlink/event-socket'
import { IF_OPER_UP, linkByName } from '../../src/netlink/link'
import { neighDel, neighUse, RTNLGRP_NEIGH, waitForNeighs } from '../../src/netlink/neigh'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import type { Allocation } from './allocator'
import type { Span } from './range'

/** How long an answer is waited for. One on the same host comes at once, one from the wire within some milliseconds. */
const answerSeconds = 0.3

/** So many addresses in use are skipped in one ADD. */
const mostInUse = 16

/** Asks on an interface who has these addresses; none if it is missing, or has no neighbour. */
const whoHas = (ifName: string, addrs: readonly Addr[]): { addr: Addr; mac: Mac }[] =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = linkByName(nl, ifName)
    if (link?.operState !== IF_OPER_UP) return []
    const events = EventSocket.open(NETLINK_ROUTE, [RTNLGRP_NEIGH])
    try {
      // The known neighbour may be gone.
      for (const addr of addrs) neighDel(nl, link, addr)
      for (const addr of addrs) neighUse(nl, link, addr)
      const found = waitForNeighs(nl, events, link, { addrs, seconds: answerSeconds })
      for (const addr of addrs) neighDel(nl, link, addr)
      return found
    } finally {
      events.close()
    }
  })

/** Throws what would keep an ADD from asking on an interface. Asks for no address, and changes nothing. */
export const probeAsking = (ifName: string): void => {
  whoHas(ifName, [])
}

/** The steps of an ADD with leases, as the command does them. */
type Taking = {
  /** Leases addresses, none of the spans that are to be avoided. */
  take(avoided: readonly Span[]): Promise<Allocation[]>
  /** Gives back what was taken. */
  giveBack(addresses: readonly string[]): Promise<void>
}

/**
 * Takes addresses for which no machine answers. Throws code 11 if one that was asked for is in use, or too many others
 * are. They are leased while they are asked for, and the lock is not held meanwhile.
 */
export const takeUnused = async (
  { probe, requested }: { probe: string; requested: readonly Addr[] },
  { take, giveBack }: Taking,
): Promise<Allocation[]> => {
  const avoided: Span[] = []
  for (;;) {
    const allocations = await take(avoided)
    const addrs = allocations.map(({ addr }) => addr)
    const inUse = whoHas(probe, addrs)
    if (inUse.length === 0) return allocations
    await giveBack(addrs.map(formatAddr))
    for (const { addr, mac } of inUse) {
      const [address, details] = [formatAddr(addr), `${mac} answers for it on "${probe}"`]
      if (requested.some(one => formatAddr(one) === address))
        throw new CniError(ErrorCode.tryAgainLater, `requested IP address ${address} is in use`, { details })
      warn(`host-local: ${address} is skipped: ${details}`)
      avoided.push({ start: addr, end: addr })
    }
    if (avoided.length < mostInUse) continue
    throw new CniError(
      ErrorCode.tryAgainLater,
      `${avoided.length} addresses in a row are in use on "${probe}", although no container has leased them`,
      { details: '"ip neigh" shows their owners; add ranges of others to "exclude"' },
    )
  }
}
