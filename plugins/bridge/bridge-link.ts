import { platform } from '#platform'
import { CniError, ErrorCode } from '../../src/cni/error'
import { readBootID } from '../../src/host/boot'
import { trySysctl } from '../../src/host/sysctl'
import { macFromHash } from '../../src/ip/mac'
import { unlessRefused } from '../../src/netlink/error'
import { bridgeAdd, IFF_UP, type Link, linkByName, linkList, linkSet } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { closeNetns, openOwnNetns } from '../../src/netns/netns'
import type { BridgeConf } from './config'
import { minMtu } from './mtu'

/** The kernel's MTU for Ethernet: <linux/if_ether.h>, ETH_DATA_LEN. */
const kernelMtu = 1500

/** A bridge that is ready for ports, and the MTU its new ports get. */
export type EnsuredBridge = { readonly link: Link; readonly portMtu: number }

const requireBridge = (link: Link): Link => {
  if (link.kind === 'bridge') return link
  throw new CniError(ErrorCode.invalidNetworkConfig, `"${link.name}" already exists but is not a bridge`, {
    details: `it is ${link.kind ? `a ${link.kind}` : 'a device of the host'}; choose another "bridge"`,
  })
}

/**
 * The MTU to give, and the bridge as it is if it exists. Only where the configuration leaves the MTU open are all
 * interfaces read.
 */
const survey = (nl: NetlinkSocket, conf: BridgeConf): { mtu: number; bridge: Link | undefined } => {
  if (conf.mtu !== undefined) return { mtu: conf.mtu, bridge: linkByName(nl, conf.bridge) }
  const links = linkList(nl)
  return {
    mtu: minMtu(links, conf.bridge) ?? kernelMtu,
    bridge: links.find(({ name }) => name === conf.bridge),
  }
}

/**
 * Raises the MTU of a bridge that is below what its new port gets, unless an older port could not take frames of
 * that size: they would vanish without a word.
 */
const raiseMtu = (nl: NetlinkSocket, bridge: Link, wanted: number, conf: BridgeConf): number => {
  if (bridge.mtu >= wanted) return wanted
  const small = linkList(nl, bridge.index).find(port => port.mtu < wanted)
  if (!small) {
    linkSet(nl, bridge, { mtu: wanted })
    return wanted
  }
  if (conf.mtu === undefined) return bridge.mtu
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `"mtu" is ${wanted}, but bridge "${bridge.name}" has ${bridge.mtu} and cannot be raised`,
    { details: `its port "${small.name}" has MTU ${small.mtu}: renew the containers on it, or lower "mtu"` },
  )
}

const create = (nl: NetlinkSocket, conf: BridgeConf, mtu: number): void => {
  // Given from the start, so that it never changes with the ports: another for every node, boot and namespace.
  const own = openOwnNetns()
  closeNetns(own)
  const mac = macFromHash(platform.sha512Hex(`${readBootID()} ${own.ino} ${conf.bridge}`))
  const made = { name: conf.bridge, mac, mtu, vlanFiltering: conf.vlanFiltering }
  // Another ADD may be ahead by a moment: its bridge will do.
  unlessRefused(['EEXIST'], () => bridgeAdd(nl, made))
}

/**
 * Makes the bridge as the configuration wants it, or takes the one that is there. A failed ADD leaves it: another
 * container may have come to use it by then.
 */
export const ensureBridge = (nl: NetlinkSocket, conf: BridgeConf): EnsuredBridge => {
  const { mtu, bridge: found } = survey(nl, conf)
  if (found) requireBridge(found)
  else create(nl, conf, mtu)
  const link = found ?? linkByName(nl, conf.bridge)
  if (!link)
    throw new CniError(ErrorCode.internal, `bridge "${conf.bridge}" vanished while it was being made`)
  requireBridge(link)
  if (conf.promiscuous && link.promiscuity === 0) linkSet(nl, link, { promisc: true })
  if (!(link.flags & IFF_UP)) linkSet(nl, link, { up: true })
  // The bridge's IPv6 routes are ours to make.
  if (!found) trySysctl(`net/ipv6/conf/${link.name}/accept_ra`, '0')
  return { link, portMtu: raiseMtu(nl, link, mtu, conf) }
}
