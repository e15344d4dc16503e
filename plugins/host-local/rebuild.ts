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

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

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

/** The running containers; none where the search fails, which must not fail an ADD. */
const findOrWarn = (conf: HostLocalConf): Running[] => {
  try {
    return findRunning(conf)
  } catch (error) {
    warn(`host-local: look for running containers on "${conf.network}": ${textOf(error)}`)
    return []
  }
}

/** Leases what is not leased yet, all of it or nothing. Answers what was missing. */
const leaseAll = (leases: Leases, running: readonly Running[]): Running[] => {
  const leased: string[] = []
  const reserve = (address: string, id: Attachment): boolean => {
    const isMissing = leases.reserve(address, id)
    if (isMissing) leased.push(address)
    return isMissing
  }
  try {
    return running
      .map(({ id, addresses }) => ({ id, addresses: addresses.filter(address => reserve(address, id)) }))
      .filter(({ addresses }) => addresses.length > 0)
  } catch (error) {
    for (const address of leased) {
      try {
        leases.releaseAddress(address)
      } catch (failure) {
        warn(`host-local: free ${address}: ${textOf(failure)}`)
      }
    }
    throw error
  }
}

/**
 * Leases what running containers of the network have. Throws where that cannot be written: without those leases an ADD
 * would give their addresses to others.
 */
export const rebuildLeases = (leases: Leases, conf: HostLocalConf): void => {
  const missing = leaseAll(leases, findOrWarn(conf))
  for (const { id, addresses } of missing)
    leases.note(id, [...(leases.of(id)?.addresses ?? []), ...addresses], undefined)
  if (missing.length > 0)
    warn(`host-local: leases of ${missing.length} running container(s) on "${conf.network}" were missing`)
}
