/**
 * Leases for containers that run without one, after the folder was deleted: what their interfaces have must not be
 * given to others. They are found by the aliases that bridge gives host veths. Only loaded where the folder is new.
 */
import { type Attachment, isOn } from '../../src/attachment/attachment'
import { parseAlias } from '../../src/attachment/interfaces'
import { warn } from '../../src/host/log'
import { formatAddr } from '../../src/ip/addr'
import { peerAddrs } from '../../src/netlink/addr'
import { linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import type { HostLocalConf } from './config'
import type { Leases } from './leases'
import { rangeOf } from './range'

/** An attachment that is there, and what its interface has of the network's ranges. */
type Running = { readonly id: Attachment; readonly addresses: readonly string[] }

const findRunning = ({ network, rangeSets }: HostLocalConf): Running[] =>
  withNetlink(NETLINK_ROUTE, nl =>
    linkList(nl).flatMap(link => {
      const id = link.kind === 'veth' ? parseAlias(link.alias) : undefined
      if (!id || !isOn(id, network)) return []
      const addresses = (peerAddrs(nl, link) ?? [])
        .filter(({ addr }) => rangeSets.some(set => rangeOf(set, addr)))
        .map(({ addr }) => formatAddr(addr))
      return addresses.length > 0 ? [{ id, addresses }] : []
    }),
  )

/** Leases what running containers of the network have. A failed search must not fail an ADD. */
export const rebuildLeases = (leases: Leases, conf: HostLocalConf): void => {
  try {
    const running = findRunning(conf)
    for (const { id, addresses } of running) {
      const leased = addresses.filter(address => leases.reserve(address, id))
      if (leased.length > 0) leases.note(id, leased, undefined)
    }
    if (running.length > 0)
      warn(`host-local: leases of ${running.length} running container(s) on "${conf.network}" were missing`)
  } catch (error) {
    warn(
      `host-local: look for running containers on "${conf.network}": ${error instanceof Error ? error.message : error}`,
    )
  }
}
