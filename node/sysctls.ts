/** The sysctls that kubelet set on a node for kubenet: what they have, what would change, and the change itself. */
import { forwardingKey } from '../plugins/bridge/sysctls'
import { findProgram } from '../src/host/exec'
import { giveBackSysctl, ownSysctl } from '../src/host/owned-sysctl'
import { readSysctl } from '../src/host/sysctl'
import { linkByIndex } from '../src/netlink/link'
import { RTPROT_RA, routeList } from '../src/netlink/route'
import { NETLINK_ROUTE, withNetlink } from '../src/netlink/socket'

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
 * Keeps the routes that an interface has from router advertisements, which a kernel that forwards ignores unless
 * accept_ra is 2. Undefined where accept_ra is not 1: with 0, systemd-networkd or NetworkManager process them
 * themselves, forwarding or not, and 2 would make the kernel process them too.
 */
export const keepAdvertised = (name: string): Wanted | undefined => {
  const key = `net/ipv6/conf/${name}/accept_ra`
  return readSysctl(key) === '1'
    ? { key, value: '2', why: `keeps the advertised routes of ${name}` }
    : undefined
}

/**
 * For the interfaces that have their routes from router advertisements: without these the default route of a host
 * that forwards would end with the last one's lifetime.
 */
export const acceptAdvertisements = (): Wanted[] => {
  if (readSysctl(forwardingKey[6]) !== '0') return []
  return withNetlink(NETLINK_ROUTE, nl => {
    const advertised = routeList(nl, 6).filter(({ protocol }) => protocol === RTPROT_RA)
    const names = [...new Set(advertised.map(({ index }) => linkByIndex(nl, index)?.name))]
    return names.flatMap(name => (name === undefined ? [] : (keepAdvertised(name) ?? [])))
  })
}

/** One sysctl and what it should be. */
type Wanted = {
  /** As a path below /proc/sys: "net/ipv4/ip_forward". */
  readonly key: string
  readonly value: string
  /** Its purpose. */
  readonly why: string
}

/** A sysctl as it was found. */
export type PlannedSysctl = Wanted & {
  /** Undefined where the kernel has no such key. */
  readonly found: string | undefined
  readonly action: 'change' | 'keep' | 'absent'
}

/** A key as sysctl(8) writes it. */
export const dottedKey = (key: string): string => key.replaceAll('/', '.')

/** Compares what is with what should be. */
export const planSysctls = (wanted: readonly Wanted[]): PlannedSysctl[] =>
  wanted.map(entry => {
    const found = readSysctl(entry.key)
    if (found === undefined) return { ...entry, found, action: 'absent' }
    return { ...entry, found, action: found === entry.value ? 'keep' : 'change' }
  })

/** Sets what is to be changed, below `folder`. Throws at the first that cannot be, after setting back those before it. */
export const applySysctls = (plan: readonly PlannedSysctl[], folder?: string): void => {
  const done: PlannedSysctl[] = []
  for (const entry of plan.filter(({ action }) => action === 'change')) {
    try {
      if (ownSysctl(entry.key, entry.value, folder)) done.push(entry)
    } catch (error) {
      for (const { key, found } of done.reverse()) if (found !== undefined) giveBackSysctl(key, found, folder)
      throw error
    }
  }
}
