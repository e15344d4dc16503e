/** What kubelet set on a node for kubenet. */

import { forwardingKey } from '../plugins/bridge/sysctls'
import { findProgram } from '../src/host/exec'
import { readSysctl } from '../src/host/sysctl'
import { linkByIndex } from '../src/netlink/link'
import { RTPROT_RA, routeList } from '../src/netlink/route'
import { NETLINK_ROUTE, withNetlink } from '../src/netlink/socket'
import type { Wanted } from './sysctls/sysctl-plan'

/** Bridged packets pass iptables: the one sysctl that kubelet's noop plugin set. */
export const bridgeIptables: Wanted = {
  key: 'net/bridge/bridge-nf-call-iptables',
  value: '1',
  why: "a service's address leads to a pod of the same node",
}

export const bridgeIp6tables: Wanted = {
  key: 'net/bridge/bridge-nf-call-ip6tables',
  value: '1',
  why: 'the same for IPv6',
}

export const forwarding4: Wanted = { key: forwardingKey[4], value: '1', why: 'the node routes for its pods' }
export const forwarding6: Wanted = { key: forwardingKey[6], value: '1', why: 'the same for IPv6' }

/** Is bridged traffic shown to iptables at all, by the module br_netfilter or by a kernel that has it built in? */
export const hasBridgeNetfilter = (): boolean => readSysctl(bridgeIptables.key) !== undefined

/** The program that loads modules; undefined where there is none. */
export const modprobe = (path: string | undefined): string | undefined => findProgram('modprobe', path)

/**
 * The interfaces that have their routes from router advertisements, which a host that forwards ignores unless
 * accept_ra is 2: without these its default route would end with the last one's lifetime.
 */
export const acceptAdvertisements = (): Wanted[] => {
  if (readSysctl(forwardingKey[6]) !== '0') return []
  return withNetlink(NETLINK_ROUTE, nl => {
    const advertised = routeList(nl, 6).filter(({ protocol }) => protocol === RTPROT_RA)
    const names = [...new Set(advertised.map(({ index }) => linkByIndex(nl, index)?.name))]
    return names
      .filter(name => name !== undefined)
      .map(name => ({
        key: `net/ipv6/conf/${name}/accept_ra`,
        value: '2',
        why: `keeps the routes that ${name} is told of`,
      }))
      .filter(({ key }) => readSysctl(key) === '1')
  })
}
