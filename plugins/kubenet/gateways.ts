/**
 * The bridge's addresses. A node that gets another pod range has pods of the old one for a while: the bridge stays
 * their gateway beside that of the new ones, until the last is gone.
 */
import { isOn } from '../../src/attachment/attachment'
import { parseAlias } from '../../src/attachment/interfaces'
import type { Call } from '../../src/cni/plugin'
import { warn } from '../../src/host/log'
import { type Addr, addrEquals, isLinkLocal, parseAddr } from '../../src/ip/addr'
import { type Cidr, cidrContains, cidrEquals, firstHost, formatCidr, networkOf } from '../../src/ip/cidr'
import { once } from '../../src/life/host-view'
import { dedupRules, noDedup } from '../../src/netfilter/rules/dedup/nft'
import { addrDel, addrList, peerAddrs } from '../../src/netlink/addr'
import { type Link, linkByName, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { readHostLocalConf } from '../host-local/config'
import { leaseFoldersOf, readLeases } from '../host-local/network'
import type { KubenetConf } from './config'
import { bridgeConf, callOf } from './parts'

/** The bridge and its addresses but the kernel's own; undefined if there is no such bridge. */
type BridgeState = { readonly bridge: Link; readonly gateways: readonly Cidr[] }

/** Reads the network's bridge. */
export const readBridge = (nl: NetlinkSocket, { bridge: name }: KubenetConf): BridgeState | undefined => {
  const bridge = linkByName(nl, name)
  if (bridge?.kind !== 'bridge') return undefined
  const addresses = addrList(nl, { index: bridge.index }).map(({ cidr }) => cidr)
  return { bridge, gateways: addresses.filter(({ addr }) => !isLinkLocal(addr)) }
}

const readOwnBridge = (conf: KubenetConf): BridgeState | undefined =>
  withNetlink(NETLINK_ROUTE, nl => readBridge(nl, conf))

/**
 * Keeps a promiscuous bridge from sending twice, whatever filters the rest: ebtables is not everywhere. `state` is the
 * bridge as it was read just before.
 */
export const setUpDedup = (conf: KubenetConf, state = readOwnBridge(conf)): void => {
  if (conf.hairpinMode !== 'promiscuous-bridge' || !state) return
  const { bridge, gateways } = state
  if (!dedupRules.setUp({ network: conf.network, mac: bridge.mac, gateways })) warn(noDedup)
}

/** Is it a gateway as kubenet makes them, the first address of its range, and of a range that is no longer the node's? */
const isOfOldRange = (gateway: Cidr, { podCIDRs }: KubenetConf): boolean =>
  firstHost(gateway).bits === gateway.addr.bits &&
  !podCIDRs.some(range => cidrEquals(range, networkOf(gateway)))

/** Are all ports of the bridge pods of this network? The addresses of others are unknown here. */
const isOwnBridge = (nl: NetlinkSocket, bridge: Link, { network }: KubenetConf): boolean =>
  linkList(nl, bridge.index).every(({ alias }) => {
    const id = parseAlias(alias)
    return id !== undefined && isOn(id, network)
  })

/**
 * Is no address of this old range in use any more? Where the ranges overlap, an address alone does not tell of which
 * one it was given; the prefix length it has in the pod does. A pod that cannot be asked counts.
 */
const isDrained = (gateway: Cidr, leased: readonly Addr[], pods: () => readonly Cidr[], conf: KubenetConf) =>
  !leased.some(addr => {
    if (!cidrContains(gateway, addr)) return false
    if (!conf.podCIDRs.some(range => cidrContains(range, addr))) return true
    const inPod = pods().find(pod => addrEquals(pod.addr, addr))
    return inPod === undefined || inPod.prefix === gateway.prefix
  })

/** The addresses of all pods on a bridge, with prefix lengths. */
const podAddresses = (nl: NetlinkSocket, bridge: Link): Cidr[] =>
  linkList(nl, bridge.index).flatMap(port => (port.kind === 'veth' ? (peerAddrs(nl, port) ?? []) : []))

/**
 * Takes the gateways of old ranges off the bridge of which no pod has an address any more: the range may be another
 * node's by now, which could not be reached. Under the lock of the leases, so that no pod gets such an address
 * meanwhile. Answers the bridge where there is nothing to take off.
 */
export const collectGateways = async (call: Call, conf: KubenetConf): Promise<BridgeState | undefined> => {
  const found = readOwnBridge(conf)
  const old = (found?.gateways ?? []).filter(gateway => isOfOldRange(gateway, conf))
  if (old.length === 0) return found
  const leaseFolders = leaseFoldersOf(
    readHostLocalConf(callOf(call, bridgeConf(conf, { masquerade: false }))),
  )
  await readLeases(leaseFolders, leases => {
    const leased = leases.addresses().flatMap(address => parseAddr(address) ?? [])
    withNetlink(NETLINK_ROUTE, nl => {
      const state = readBridge(nl, conf)
      if (!state || !isOwnBridge(nl, state.bridge, conf)) return
      const pods = once(() => podAddresses(nl, state.bridge))
      for (const gateway of old.filter(one => isDrained(one, leased, pods, conf))) {
        addrDel(nl, state.bridge, gateway)
        warn(`kubenet: no pod of ${formatCidr(gateway)} is left: "${conf.bridge}" is no longer its gateway`)
      }
    })
  })
  setUpDedup(conf)
  return undefined
}
