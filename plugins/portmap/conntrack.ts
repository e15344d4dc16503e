/**
 * UDP has no connections, but the kernel tracks flows as if it had: a client that keeps sending from one port stays
 * with whatever its first packet found, a pod that is gone or the host itself. New rules count only for flows the
 * kernel does not know, so those to a port that changes hands are forgotten, and no others.
 */
import { warn } from '../../src/host/log'
import { type Addr, addrEquals, type Family, parseAddr } from '../../src/ip/addr'
import { addrList } from '../../src/netlink/addr'
import { type ConntrackEntry, conntrackDelete, conntrackList, IPPROTO_UDP } from '../../src/netlink/conntrack'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { udpPortsOf } from './claims'
import type { PortmapConf } from './config'
import type { PortOwner } from './records'

/** Forgets the flows to these host ports for which `isStale` holds. A failure is a warning on stderr. */
const forget = (
  family: Family,
  ports: readonly number[],
  isStale: (entry: ConntrackEntry) => boolean,
): void => {
  try {
    withNetlink(NETLINK_NETFILTER, nl => {
      const entries = conntrackList(nl, { family, protocol: IPPROTO_UDP, dstPorts: [...new Set(ports)] })
      for (const entry of entries.filter(isStale)) conntrackDelete(nl, entry)
    })
  } catch (error) {
    warn(`portmap: stale UDP flows are left: ${error instanceof Error ? error.message : error}`)
  }
}

const sameAddr = (a: Addr | undefined, b: Addr): boolean => a !== undefined && addrEquals(a, b)

/** The test for an address of this host; the addresses are read at the first question. */
const localAddresses = (family: Family): ((addr: Addr | undefined) => boolean) => {
  let local: Addr[] | undefined
  return addr => {
    local ??= withNetlink(NETLINK_ROUTE, nl => addrList(nl, { family }).map(({ cidr }) => cidr.addr))
    return local.some(other => sameAddr(addr, other))
  }
}

/**
 * After ADD: forgets flows that came to a host port on an address of this host and went anywhere but to the pod.
 * `isMapped` tells at which addresses each port is open.
 */
const takeDownFlowsToOthers = (
  pod: Addr,
  ports: readonly number[],
  isMapped: (at: Addr, port: number) => boolean,
): void => {
  if (ports.length === 0) return
  const isLocal = localAddresses(pod.family)
  forget(pod.family, ports, ({ original: { dst, dstPort }, reply }) => {
    return dst !== undefined && isMapped(dst, dstPort) && !sameAddr(reply.src, pod) && isLocal(dst)
  })
}

/** After DEL: forgets flows that came to a host port and went to the pod; without its address, to any pod. */
export const takeDownFlowsToPod = (family: Family, pod: Addr | undefined, ports: readonly number[]): void => {
  if (ports.length === 0) return
  const isLocal = localAddresses(family)
  forget(family, ports, ({ original, reply }) =>
    pod ? sameAddr(reply.src, pod) : isLocal(original.dst) && !isLocal(reply.src),
  )
}

/** Forgets UDP flows to the host ports that went elsewhere. After the rules, so that they come back by them. */
export const takeDownFlows = (conf: PortmapConf): void => {
  const udp = conf.mappings.filter(({ protocol }) => protocol === 'udp')
  const isMapped = (at: Addr, port: number): boolean =>
    udp.some(({ hostPort, hostIP }) => hostPort === port && (!hostIP || addrEquals(hostIP, at)))
  const ports = udp.map(({ hostPort }) => hostPort)
  for (const { addr } of conf.addresses) takeDownFlowsToOthers(addr, ports, isMapped)
}

/** The addresses a container's ports led to, as far as its record has them. */
export const addressesOf = (owner: PortOwner | undefined): Addr[] =>
  (owner?.addresses ?? []).flatMap(text => parseAddr(text) ?? [])

/** Forgets the flows to these ports of the host that went to a pod with one of these addresses. */
export const takeDownFlowsTo = (addresses: readonly Addr[], udpPorts: readonly number[]): void => {
  for (const family of [4, 6] as const) {
    const pod = addresses.find(addr => addr.family === family)
    takeDownFlowsToPod(family, pod, udpPorts)
  }
}

/** Forgets the UDP flows to an owner's ports. After the rules, so that no flow comes back by them. */
export const takeDownFlowsOf = (owner: PortOwner): void =>
  takeDownFlowsTo(addressesOf(owner), udpPortsOf(owner))
