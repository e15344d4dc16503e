import { CniError, ErrorCode } from '../../src/cni/error'
import type { Result } from '../../src/cni/result'
import { ensureSysctl, trySysctl } from '../../src/host/sysctl'
import { type Addr, type Family, formatAddr } from '../../src/ip/addr'
import type { Mac } from '../../src/ip/mac'
import { addrAdd, RTNLGRP_IPV6_IFADDR, waitUntilSettled } from '../../src/netlink/addr'
import { EventSocket } from '../../src/netlink/event-socket'
import { type Link, linkByName, linkSet } from '../../src/netlink/link'
import { RTNLGRP_LINK, waitUntilOperational } from '../../src/netlink/link-events'
import { routeAdd } from '../../src/netlink/route'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { insideNetns, type Netns } from '../../src/netns/netns'

/** How long a port may take to come up: the reference looks for two and a half seconds in all. */
export const operationalSeconds = 2.5

/** How long the detection of duplicate addresses may take, as in the reference. */
const settleSeconds = 5

const requireLink = (nl: NetlinkSocket, netns: Netns, ifName: string): Link => {
  const link = linkByName(nl, ifName)
  if (link) return link
  throw new CniError(
    ErrorCode.internal,
    `interface "${ifName}" vanished from netns "${netns.path}" while it was being set up`,
  )
}

/** The container's end of the veth pair: sockets in its namespace, and how to set the interface up. */
export class ContainerEnd {
  readonly link: Link
  readonly #nl: NetlinkSocket
  readonly #events: EventSocket
  readonly #netns: Netns

  private constructor(netns: Netns, sockets: { nl: NetlinkSocket; events: EventSocket }, link: Link) {
    this.#netns = netns
    this.#nl = sockets.nl
    this.#events = sockets.events
    this.link = link
  }

  /** Enters the namespace once: opens the sockets and sets what only /proc/sys can set. */
  static open(netns: Netns, ifName: string, setSysctls: () => void): ContainerEnd {
    const sockets = insideNetns(netns, () => {
      setSysctls()
      const nl = NetlinkSocket.open(NETLINK_ROUTE)
      const events = EventSocket.open(NETLINK_ROUTE, [RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR])
      return { nl, events }
    })
    try {
      return new ContainerEnd(netns, sockets, requireLink(sockets.nl, netns, ifName))
    } catch (error) {
      sockets.nl.close()
      sockets.events.close()
      throw error
    }
  }

  /** Gives the interface its addresses, brings it up, and adds the routes. */
  configure(result: Result, options: { mac: Mac | undefined; dad: boolean }): void {
    for (const { address } of result.ips) addrAdd(this.#nl, this.link, address, { dad: options.dad })
    this.setUp(options.mac)
    const gateways = firstGateways(result)
    for (const route of result.routes) {
      const gw = route.gw ?? gateways.get(route.dst.addr.family)
      routeAdd(this.#nl, { ...route, gw, index: this.link.index })
    }
  }

  /** Brings the interface up, under another MAC if one is given. */
  setUp(mac: Mac | undefined): void {
    linkSet(this.#nl, this.link, { ...(mac !== undefined && mac !== this.link.mac && { mac }), up: true })
  }

  /** Waits until the interface can send, and answers it; its IPv6 link-local address is there by then. */
  waitUntilOperational(): Link | undefined {
    return waitUntilOperational(this.#nl, this.#events, this.link.index, operationalSeconds)
  }

  /** Waits until no address is tentative any more; throws if one turns out to be a duplicate. */
  settle(): void {
    const { name, index } = this.link
    const unsettled = waitUntilSettled(this.#nl, this.#events, index, settleSeconds)
    if (!unsettled) return
    const { cidr, failed } = unsettled
    const found = failed
      ? `link ${name} has address ${formatAddr(cidr.addr)} in DADFAILED state`
      : `link ${name} still has tentative addresses after ${settleSeconds} seconds`
    throw new CniError(ErrorCode.internal, `failed to settle addresses for "${name}": ${found}`)
  }

  /**
   * Tells the neighbours which MAC the addresses are at now, with a gratuitous ARP and an unsolicited neighbour
   * advertisement: those the kernel sent when the interface came up were before its port forwarded anything. Setting
   * the MAC that it has makes the kernel send them again (arp_notify and ndisc_notify, NETDEV_CHANGEADDR).
   */
  announce({ mac }: Link): void {
    linkSet(this.#nl, this.link, { mac })
  }

  /** Reads the interface again, as it is now. */
  reread(): Link {
    return requireLink(this.#nl, this.#netns, this.link.name)
  }

  get path(): string {
    return this.#netns.path
  }

  close(): void {
    this.#nl.close()
    this.#events.close()
  }
}

const firstGateways = (result: Result): Map<Family, Addr> => {
  const gateways = new Map<Family, Addr>()
  for (const { gateway } of result.ips) {
    if (gateway && !gateways.has(gateway.family)) gateways.set(gateway.family, gateway)
  }
  return gateways
}

/** Turns IPv6 on or off for a container's interface, in the calling thread's namespace. */
export const setIPv6 = (ifName: string, on: boolean): void => {
  const disabled = `net/ipv6/conf/${ifName}/disable_ipv6`
  if (!on) {
    ensureSysctl(disabled, '1')
    return
  }
  ensureSysctl('net/ipv6/conf/lo/disable_ipv6', '0')
  ensureSysctl(disabled, '0')
}

/**
 * Sets the sysctls of a container's interface with addresses, in the calling thread's namespace. Duplicate address
 * detection is off unless wanted: the addresses of a bridge of ours are handed out by one IPAM plugin, and detection
 * takes a second or two. The notifications tell neighbours of a reused address its new MAC.
 */
export const setContainerSysctls = (ifName: string, options: { v6: boolean; dad: boolean }): void => {
  const v6 = `net/ipv6/conf/${ifName}`
  if (options.v6) {
    // An address outlives its interface being set down and up again, as IPv4's do.
    trySysctl(`${v6}/keep_addr_on_down`, '1')
    // Without, there is only a link-local address to announce: to every port of the bridge, without use.
    trySysctl(`${v6}/ndisc_notify`, '1')
  }
  if (options.dad) trySysctl(`${v6}/enhanced_dad`, '1')
  trySysctl(`${v6}/accept_dad`, options.dad ? '1' : '0')
  trySysctl(`net/ipv4/conf/${ifName}/arp_notify`, '1')
}
