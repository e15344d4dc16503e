/**
 * The bridge. It stays when its containers are gone, except with "prune": then it goes with the last one. In that case an
 * ADD holds the bridge's lock from the creation of the bridge until the container's port is in it, so that no bridge is
 * deleted under an ADD.
 */
import { mkdirSync } from 'node:fs'
import { platform } from '#platform'
import { ifbPrefix } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { readBootID } from '../../src/host/boot'
import { withLock } from '../../src/host/lock'
import { trySysctl } from '../../src/host/sysctl'
import { type Family, isLinkLocal } from '../../src/ip/addr'
import { linkLocalOf, type Mac, macFromHash } from '../../src/ip/mac'
import { addrAdd, addrList } from '../../src/netlink/addr'
import { unlessRefused } from '../../src/netlink/error'
import {
  bridgeAdd,
  freeLinkList,
  IF_OPER_UP,
  IFF_PROMISC,
  IFF_UP,
  type Link,
  type LinkChange,
  linkByIndex,
  linkByName,
  linkDel,
  linkList,
  linkSet,
} from '../../src/netlink/link'
import { type ListedRoute, routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { closeNetns, openOwnNetns } from '../../src/netns/netns'
import type { BridgeConf } from './config'
import { defaultRouteMtu, minMtu, withinLimits } from './mtu'
import { isGatewayPort } from './veth'
import { warnIfUnfiltered, withVlans } from './vlan'

/** The IFLA_GROUP of a bridge that goes with its last container: bridges made by others have another, and stay. */
const prunableGroup = 0x6b70

/** A bridge that is ready for ports, and the MTU its new ports get. */
export type ReadyBridge = { readonly link: Link; readonly portMtu: number }

const requireBridge = (link: Link): Link => {
  if (link.kind === 'bridge') return link
  throw new CniError(ErrorCode.invalidNetworkConfig, `"${link.name}" already exists but is not a bridge`, {
    details: `it is ${link.kind ? `a ${link.kind}` : 'a device of the host'}; choose another "bridge"`,
  })
}

const bothFamilies = (read: (family: Family) => ListedRoute[]): ListedRoute[] => [...read(4), ...read(6)]

/** The MTU that the host's interfaces leave a container. */
const hostMtu = (nl: NetlinkSocket, links: readonly Link[], conf: BridgeConf): number => {
  const routes = conf.mtuOf === 'default-routes' ? bothFamilies(family => routeList(nl, family)) : []
  const mtu =
    defaultRouteMtu(links, routes) ??
    minMtu(
      links,
      { bridge: conf.bridge, otherwise: conf.mtuFallback },
      {
        addresses: ({ index }) => addrList(nl, { index }),
        routes: ({ index }) => bothFamilies(family => routeList(nl, family, index)),
      },
    )
  return withinLimits(mtu, { overhead: conf.mtuOverhead, v6: conf.expectsIPv6 })
}

/**
 * The MTU to give, and the bridge as it is if it exists. Only where the configuration leaves the MTU open are other
 * interfaces read.
 */
const survey = (nl: NetlinkSocket, conf: BridgeConf): { mtu: number; bridge: Link | undefined } => {
  if (conf.mtu !== undefined) return { mtu: conf.mtu, bridge: linkByName(nl, conf.bridge) }
  const links = freeLinkList(nl, ifbPrefix)
  return {
    mtu: hostMtu(nl, links, conf),
    // A bridge in a VRF is not among those that are free.
    bridge: links.find(({ name }) => name === conf.bridge) ?? linkByName(nl, conf.bridge),
  }
}

/** The failure of a bridge whose MTU cannot be raised to what "mtu" says, because of a port that would not take that. */
const smallPort = (bridge: Link, port: Link, wanted: number): CniError =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `"mtu" is ${wanted}, but bridge "${bridge.name}" has ${bridge.mtu} and cannot be raised`,
    { details: `its port "${port.name}" has MTU ${port.mtu}: replace the containers on it, or lower "mtu"` },
  )

const findSmallPort = (nl: NetlinkSocket, bridge: Link, wanted: number): Link | undefined =>
  bridge.mtu >= wanted ? undefined : linkList(nl, bridge.index).find(port => port.mtu < wanted)

/** Throws code 7 if the bridge cannot have the configured MTU. Changes nothing. */
export const probeBridgeMtu = (nl: NetlinkSocket, bridge: Link, { mtu }: BridgeConf): void => {
  const port = mtu === undefined ? undefined : findSmallPort(nl, bridge, mtu)
  if (port && mtu !== undefined) throw smallPort(bridge, port, mtu)
}

/**
 * Raises the MTU of a bridge that is below what its new port gets, unless an older port could not take frames of
 * that size: they would vanish without a word.
 */
const raiseMtu = (nl: NetlinkSocket, bridge: Link, wanted: number, conf: BridgeConf): number => {
  if (bridge.mtu >= wanted) return wanted
  const small = findSmallPort(nl, bridge, wanted)
  if (!small) {
    linkSet(nl, bridge, { mtu: wanted })
    return wanted
  }
  if (conf.mtu === undefined) return bridge.mtu
  throw smallPort(bridge, small, wanted)
}

/** A MAC for an interface of this host: the same while the host runs, another for every node, boot and namespace. */
export const hostMac = (name: string): Mac => {
  const own = openOwnNetns()
  closeNetns(own)
  return macFromHash(platform.sha512Hex(`${readBootID()} ${own.ino} ${name}`))
}

/** Creates the bridge, unless another ADD is ahead by a moment: its bridge will do. */
const create = (nl: NetlinkSocket, conf: BridgeConf, mtu: number): void => {
  const name = conf.bridge
  // The MAC is given from the start, so that it never changes with the ports.
  const group = conf.prune ? prunableGroup : 0
  const bridge = { name, mac: hostMac(name), mtu, vlanFiltering: conf.vlanFiltering, group }
  const add = () => unlessRefused(['EEXIST'], () => bridgeAdd(nl, bridge))
  if (conf.vlanFiltering) withVlans(add)
  else add()
  // The bridge's IPv6 routes are ours to make, and no other program has its addresses.
  trySysctl(`net/ipv6/conf/${name}/accept_ra`, '0')
  if (!conf.dad) trySysctl(`net/ipv6/conf/${name}/accept_dad`, '0')
}

/** Takes a bridge that was there before as it is, but up, promiscuous if wanted, and with a MAC that stays. */
const takeOver = (nl: NetlinkSocket, bridge: Link, conf: BridgeConf): void => {
  const change: LinkChange = {
    ...(conf.promiscuous && !(bridge.flags & IFF_PROMISC) && { promisc: true }),
    ...(!(bridge.flags & IFF_UP) && { up: true }),
    // One that was made without a MAC takes the lowest of its ports'. Set to what it is, it no longer does.
    ...(bridge.operState !== IF_OPER_UP && { mac: bridge.mac }),
  }
  if (Object.keys(change).length > 0) linkSet(nl, bridge, change)
}

/**
 * Makes the bridge as the configuration wants it, or takes the one that is there. A failed ADD leaves it: another
 * container may have come to use it by then.
 */
export const setUpBridge = (nl: NetlinkSocket, conf: BridgeConf): ReadyBridge => {
  const { mtu, bridge: found } = survey(nl, conf)
  if (found) {
    requireBridge(found)
    warnIfUnfiltered(found, conf)
  } else {
    create(nl, conf, mtu)
  }
  const link = found ?? linkByName(nl, conf.bridge)
  if (!link)
    throw new CniError(ErrorCode.internal, `bridge "${conf.bridge}" vanished while it was being made`)
  takeOver(nl, requireBridge(link), conf)
  return { link, portMtu: raiseMtu(nl, link, mtu, conf) }
}

/**
 * The bridge as it is with its new port. Has it keep the MAC it had before: one without a MAC of its own takes over
 * the lowest of its ports', and the neighbours would lose their gateway whenever ports come and go. `pin` says that
 * it got an address, from when on its MAC counts in any case.
 */
export const keepBridgeMac = (
  nl: NetlinkSocket,
  before: Link,
  options: { port: Link; pin: boolean },
): Link => {
  const now = linkByIndex(nl, before.index)
  if (!now)
    throw new CniError(ErrorCode.internal, `bridge "${before.name}" was deleted while a port was added`)
  if (!options.pin && now.mac !== options.port.mac) return now
  linkSet(nl, now, { mac: before.mac })
  return { ...now, mac: before.mac }
}

/**
 * Gives a bridge its IPv6 link-local address where the kernel does not: with a MAC of its own a bridge has no carrier
 * until a port has, and the port of a container whose interface stays down has none.
 */
export const setUpLinkLocal = (nl: NetlinkSocket, { index, name, mac }: Link): void => {
  if (addrList(nl, { index, family: 6 }).some(({ cidr }) => isLinkLocal(cidr.addr))) return
  // Where IPv6 is switched off there is nothing to have.
  unlessRefused(['EACCES', 'EAFNOSUPPORT', 'EOPNOTSUPP', 'EINVAL'], () =>
    addrAdd(nl, { index, name }, { addr: linkLocalOf(mac), prefix: 64 }),
  )
}

const folder = '/run/kubenet-cni/bridges'

/** Runs `work` while holding the lock of the network's bridge; throws code 11 if it is not had in time. */
export const withBridgeLock = <T>({ bridge }: BridgeConf, work: () => T): Promise<T> => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return withLock(`${folder}/${bridge}`, work)
}

/** Deletes a bridge that has no ports but those that lead to the gateways of its VLANs, and these with it. */
const deleteUnused = (nl: NetlinkSocket, name: string): void => {
  const bridge = linkByName(nl, name)
  if (bridge?.kind !== 'bridge' || bridge.group !== prunableGroup) return
  const ports = linkList(nl, bridge.index)
  if (!ports.every(port => isGatewayPort(port, bridge))) return
  for (const port of ports) linkDel(nl, port)
  // Each deletion waits for the kernel, and programs that take no lock of ours may make a port meanwhile.
  if (ports.length > 0 && linkList(nl, bridge.index).length > 0) return
  linkDel(nl, bridge)
}

/** Deletes the network's bridge if it was made with "prune" and no container is on it any more. */
export const takeDownUnusedBridge = async (conf: BridgeConf): Promise<void> => {
  // Where there is no such bridge no lock is needed, and no folder for it.
  if (!withNetlink(NETLINK_ROUTE, nl => linkByName(nl, conf.bridge))) return
  await withBridgeLock(conf, () => withNetlink(NETLINK_ROUTE, nl => deleteUnused(nl, conf.bridge)))
}
