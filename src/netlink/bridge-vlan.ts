/** The VLANs of bridge ports: what `bridge vlan` shows and changes. */

import { release } from 'node:os'
import { isFrom } from '../host/system-error'
import type { NetlinkSocket } from './socket'
import * as w from './wire/link'
import {
  type Attribute,
  messageBody,
  putU16,
  putU32,
  readAttributeList,
  readAttributes,
} from './wire/message'

/** <linux/socket.h> */
const AF_BRIDGE = 7

/** <linux/if_link.h> */
const IFLA_AF_SPEC = 26

/** <linux/rtnetlink.h> */
const RTEXT_FILTER_BRVLAN_COMPRESSED = 1 << 2

/** <linux/if_bridge.h> */
const IFLA_BRIDGE_FLAGS = 0
const IFLA_BRIDGE_VLAN_INFO = 2
const BRIDGE_FLAGS_MASTER = 1
const BRIDGE_VLAN_INFO_PVID = 1 << 1
const BRIDGE_VLAN_INFO_UNTAGGED = 1 << 2
const BRIDGE_VLAN_INFO_RANGE_BEGIN = 1 << 3
const BRIDGE_VLAN_INFO_RANGE_END = 1 << 4

// <linux/if_bridge.h>                             offset
// struct bridge_vlan_info {
//   __u16 flags;                                  0
//   __u16 vid;                                    2
// };                                              4 bytes
const SIZEOF_BRIDGE_VLAN_INFO = 4
// <linux/rtnetlink.h>: the ifinfomsg in front of the attributes.
const SIZEOF_IFINFOMSG = 16

/** The first and last VLAN there is: 0 and 4095 are no VLANs (IEEE 802.1Q). */
export const everyVlan = { first: 1, last: 4094 }

/** VLANs `first` to `last` of a port. A frame without a tag belongs to the one that is `pvid`. */
export type VlanSpan = {
  readonly first: number
  readonly last: number
  readonly pvid?: boolean
  /** Frames of these VLANs leave the port without their tag. */
  readonly untagged?: boolean
}

const vlanInfo = (flags: number, vid: number): Attribute => {
  const info = Buffer.alloc(SIZEOF_BRIDGE_VLAN_INFO)
  info.writeUInt16LE(flags, 0)
  info.writeUInt16LE(vid, 2)
  return [IFLA_BRIDGE_VLAN_INFO, info]
}

const spanInfo = ({ first, last, pvid, untagged }: VlanSpan): Attribute[] => {
  const flags = (pvid ? BRIDGE_VLAN_INFO_PVID : 0) | (untagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0)
  if (first === last) return [vlanInfo(flags, first)]
  return [
    vlanInfo(flags | BRIDGE_VLAN_INFO_RANGE_BEGIN, first),
    vlanInfo(flags | BRIDGE_VLAN_INFO_RANGE_END, last),
  ]
}

/**
 * The body of RTM_SETLINK and RTM_DELLINK for VLANs of a port. Its type and length before each attribute left out:
 *
 *   ifinfomsg { family AF_BRIDGE, index }
 *   IFLA_AF_SPEC
 *     IFLA_BRIDGE_FLAGS      BRIDGE_FLAGS_MASTER: the port's bridge is to act, not its driver
 *     IFLA_BRIDGE_VLAN_INFO  one, or RANGE_BEGIN and RANGE_END, for each span
 */
const vlanBody = (index: number, spans: readonly VlanSpan[]): Uint8Array[] =>
  messageBody(w.ifInfoMsg({ family: AF_BRIDGE, index }), [
    [IFLA_AF_SPEC, [[IFLA_BRIDGE_FLAGS, putU16(BRIDGE_FLAGS_MASTER)], ...spans.flatMap(spanInfo)]],
  ])

const say = (spans: readonly VlanSpan[]): string =>
  spans.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(', ')

/**
 * Puts a port into VLANs; one it is in already gets the new flags. EOPNOTSUPP is the answer of a kernel whose bridges
 * know no VLANs. Equivalent to: `bridge vlan add dev $link vid $first-$last [pvid] [untagged]`, all spans at once.
 */
export const bridgeVlanAdd = (
  nl: NetlinkSocket,
  link: { index: number; name: string },
  spans: readonly VlanSpan[],
): void => {
  nl.request(`put "${link.name}" into VLAN ${say(spans)}`, {
    type: w.RTM_SETLINK,
    body: vlanBody(link.index, spans),
  })
}

/**
 * Takes a port out of VLANs; one it is not in is no failure. Equivalent to: `bridge vlan del dev $link vid
 * $first-$last`.
 */
export const bridgeVlanDel = (
  nl: NetlinkSocket,
  link: { index: number; name: string },
  spans: readonly VlanSpan[],
): void => {
  nl.request(`take "${link.name}" out of VLAN ${say(spans)}`, {
    type: w.RTM_DELLINK,
    body: vlanBody(link.index, spans),
  })
}

/** One VLAN of a port, as it is. */
export type PortVlan = { readonly vid: number; readonly pvid: boolean; readonly untagged: boolean }

/** The VLANs in the IFLA_AF_SPEC of an answer; a span is two entries, its flags stand in both. */
export const readPortVlans = (spec: Buffer): PortVlan[] => {
  const vlans: PortVlan[] = []
  let begin: number | undefined
  for (const { type, value } of readAttributeList(spec)) {
    if (type !== IFLA_BRIDGE_VLAN_INFO || value.length < SIZEOF_BRIDGE_VLAN_INFO) continue
    const flags = value.readUInt16LE(0)
    const last = value.readUInt16LE(2)
    if (flags & BRIDGE_VLAN_INFO_RANGE_BEGIN) {
      begin = last
      continue
    }
    const pvid = (flags & BRIDGE_VLAN_INFO_PVID) !== 0
    const untagged = (flags & BRIDGE_VLAN_INFO_UNTAGGED) !== 0
    for (let vid = begin ?? last; vid <= last; vid++) vlans.push({ vid, pvid, untagged })
    begin = undefined
  }
  return vlans
}

/** The VLANs of one port, ascending; none where the kernel's bridges know no VLANs. Equivalent to: `bridge vlan show`. */
export const bridgeVlanList = (nl: NetlinkSocket, link: { index: number }): PortVlan[] => {
  const replies = nl.dump('list the VLANs of the bridge ports', {
    type: w.RTM_GETLINK,
    // The kernel has no filter by port here, it answers for all of them.
    body: messageBody(w.ifInfoMsg({ family: AF_BRIDGE }), [
      [w.IFLA_EXT_MASK, putU32(RTEXT_FILTER_BRVLAN_COMPRESSED)],
    ]),
  })
  return replies
    .filter(({ type, data }) => type === w.RTM_NEWLINK && w.readIfIndex(data) === link.index)
    .flatMap(({ data }) => {
      const spec = readAttributes(data, SIZEOF_IFINFOMSG).get(IFLA_AF_SPEC)
      return spec ? readPortVlans(spec) : []
    })
}

/** <linux/rtnetlink.h>: RTM_GETVLAN and its struct br_vlan_msg (a family, then the index of no link). */
const RTM_GETVLAN = 114
const SIZEOF_BR_VLAN_MSG = 8

/** Linux 5.6 and later answer RTM_GETVLAN where they have the code for VLANs on bridges. */
const isSince56 = (): boolean => {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  return major > 5 || (major === 5 && minor >= 6)
}

/** Do this kernel's bridges know VLANs? True as well for an old kernel, which cannot be asked. Changes nothing. */
export const hasBridgeVlans = (nl: NetlinkSocket): boolean => {
  const body = Buffer.alloc(SIZEOF_BR_VLAN_MSG)
  body.writeUInt8(AF_BRIDGE, 0)
  try {
    nl.dump('list the VLANs of bridges', { type: RTM_GETVLAN, body: [body] })
    return true
  } catch (error) {
    if (isFrom(error, 'netlink', 'EOPNOTSUPP')) return !isSince56()
    throw error
  }
}
