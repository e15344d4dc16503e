/**
 * The host's interface in a VLAN of the bridge, which has the gateway addresses instead of the bridge itself: a veth
 * pair, one end called "<bridge>.<vlan>", the other a port of the bridge in that VLAN alone. Like the bridge it stays
 * when the containers are gone, and the first ADD makes it.
 */

import { platform } from '#platform'
import { vethName } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { trySysctl } from '../../src/host/sysctl'
import { unlessRefused } from '../../src/netlink/error'
import { type Link, linkByIndex, linkByName, linkDel, linkSet, vethAdd } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { hostMac } from './bridge'
import type { BridgeConf } from './config'
import { gatewayAlias, halfMadeGroup, portMac } from './veth'
import { setUpPortVlans } from './vlan'

/** The name of a VLAN's interface; the kernel has room for 15 bytes. */
export const vlanInterfaceName = (conf: BridgeConf): string => `${conf.bridge}.${conf.vlan}`

/** Creates the pair. The group marks it as half made until its port is in the VLAN. */
const create = (nl: NetlinkSocket, name: string, mtu: number): void => {
  const port = vethName(name)
  const ends = {
    // The first in the message gets the ifindex after its peer's, on which the reference's users rely.
    host: { name, mac: hostMac(name), mtu, group: halfMadeGroup, up: true },
    peer: { name: port, mac: portMac(platform.sha512Hex(name)), mtu },
  }
  // Another ADD may be ahead by a moment: its interface will do.
  unlessRefused(['EEXIST'], () => vethAdd(nl, ends))
}

/** Makes the port of a half-made pair one of the bridge, in its VLAN, and only then calls the pair finished. */
const finish = (nl: NetlinkSocket, bridge: Link, gateway: Link, conf: BridgeConf): void => {
  const port = linkByIndex(nl, gateway.peer)
  if (!port) throw new CniError(ErrorCode.internal, `"${gateway.name}" lost its port while it was being made`)
  linkSet(nl, port, { master: bridge.index, up: true, alias: gatewayAlias(gateway.name) })
  setUpPortVlans(nl, port, { vlan: conf.vlan, trunk: [], preserveDefaultVlan: conf.preserveDefaultVlan })
  // The host's IPv6 routes through it are ours to make, and no other program has its addresses.
  trySysctl(`net/ipv6/conf/${gateway.name}/accept_ra`, '0')
  trySysctl(`net/ipv6/conf/${gateway.name}/accept_dad`, '0')
  linkSet(nl, gateway, { group: 0 })
}

/** Makes the interface for the gateways of a VLAN, or takes the one that is there. */
export const setUpVlanInterface = (
  nl: NetlinkSocket,
  { bridge, mtu }: { bridge: Link; mtu: number },
  conf: BridgeConf,
): Link => {
  const name = vlanInterfaceName(conf)
  const found = linkByName(nl, name)
  if (!found) create(nl, name, mtu)
  const link = found ?? linkByName(nl, name)
  if (!link) throw new CniError(ErrorCode.internal, `interface "${name}" vanished while it was being made`)
  if (link.group !== halfMadeGroup) return link
  try {
    finish(nl, bridge, link, conf)
  } catch (error) {
    linkDel(nl, link)
    throw error
  }
  return link
}
