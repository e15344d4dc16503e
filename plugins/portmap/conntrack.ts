/**
 * UDP has no connections, but the kernel tracks flows as if it had: a client that keeps sending from one port stays
 * with whatever its first packet found, a pod that is gone or the host itself. New rules count only for flows the
 * kernel does not know, so those to a port that changes hands are forgotten, and no others.
 */
import { warn } from '../../src/host/log'
import { type Addr, addrEquals, type Family } from '../../src/ip/addr'
import { addrList } from '../../src/netlink/addr'
import { type ConntrackEntry, conntrackDelete, conntrackList, IPPROTO_UDP } from '../../src/netlink/conntrack'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'

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
 * `isMapped` tells where each port is open, if that is not on all addresses.
 */
export const takeDownFlowsToOthers = (
  pod: Addr,
  ports: readonly number[],
  isMapped: (at: Addr, port: number) => boolean = () => true,
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
