import { readSysctl, writeSysctl } from '../../src/host/sysctl'
import type { Family } from '../../src/ip/addr'
import { linkByIndex } from '../../src/netlink/link'
import { forwards } from '../../src/netlink/netconf'
import { RTPROT_RA, routeList } from '../../src/netlink/route'
import type { NetlinkSocket } from '../../src/netlink/socket'

/** The sysctl that makes the host a router for a family. */
export const forwardingKey = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const

/** Turns forwarding on for a family, if it is off. */
export const ensureForwarding = (nl: NetlinkSocket, family: Family): void => {
  if (forwards(nl, family)) return
  const key = forwardingKey[family]
  const value = readSysctl(key)
  if (value === undefined || value === '1') return
  if (family === 6) keepAdvertisedRoutes(nl)
  writeSysctl(key, '1')
}

/**
 * A host that forwards ignores router advertisements unless accept_ra is 2, and would lose its default route when
 * the last advertised lifetime ends: Documentation/networking/ip-sysctl.rst, accept_ra.
 */
const keepAdvertisedRoutes = (nl: NetlinkSocket): void => {
  const advertised = new Set(
    routeList(nl, 6)
      .filter(({ protocol }) => protocol === RTPROT_RA)
      .map(({ index }) => index),
  )
  for (const index of advertised) {
    const link = linkByIndex(nl, index)
    const key = `net/ipv6/conf/${link?.name}/accept_ra`
    if (link && readSysctl(key) === '1') writeSysctl(key, '2')
  }
}
