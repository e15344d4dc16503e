/** The VLANs of a container's bridge port, as `vlan`, `vlanTrunk` and `preserveDefaultVlan` want them. */

import { CniError, ErrorCode } from '../../src/cni/error'
import { warn } from '../../src/host/log'
import { isFrom } from '../../src/host/system-error'
import {
  bridgeVlanAdd,
  bridgeVlanDel,
  bridgeVlanList,
  everyVlan,
  type PortVlan,
  type VlanSpan,
} from '../../src/netlink/bridge-vlan'
import { type Link, linkByName } from '../../src/netlink/link'
import type { NetlinkSocket } from '../../src/netlink/socket'
import type { BridgeConf } from './config'
import { spansOf } from './vlan-trunk'

/** The VLANs that a port is to have. */
type PortVlans = Pick<BridgeConf, 'vlan' | 'trunk' | 'preserveDefaultVlan'>

/** The VLAN that a port with a trunk alone takes frames without a tag for. */
const nativeVlanOfTrunk = 1

/**
 * The VLANs to put a port into: `vlan` as the one for frames without a tag, the trunk's with their tags. A VLAN in both
 * is the untagged one. None if the configuration has none.
 */
export const wantedVlans = ({ vlan, trunk }: PortVlans): VlanSpan[] => {
  if (vlan === 0 && trunk.length === 0) return []
  const native = vlan === 0 ? nativeVlanOfTrunk : vlan
  return [
    { first: native, last: native, pvid: true, untagged: true },
    ...spansOf(trunk.filter(vid => vid !== native)),
  ]
}

/** Runs `work`, which is about VLANs, and explains the refusal of a kernel whose bridges know none: code 2. */
export const withVlans = <T>(work: () => T): T => {
  try {
    return work()
  } catch (cause) {
    if (!isFrom(cause, 'netlink', 'EOPNOTSUPP')) throw cause
    const message = '"vlan" and "vlanTrunk": this kernel\'s bridges know no VLANs'
    const details = 'it was built without CONFIG_BRIDGE_VLAN_FILTERING; remove both keys'
    throw new CniError(ErrorCode.unsupportedField, message, { cause, details })
  }
}

/** Puts a new port into its VLANs, and out of all others unless the default one is to be kept. */
export const setUpPortVlans = (nl: NetlinkSocket, port: Link, vlans: PortVlans): void => {
  const wanted = wantedVlans(vlans)
  if (wanted.length === 0) return
  if (!vlans.preserveDefaultVlan) bridgeVlanDel(nl, port, [everyVlan])
  withVlans(() => bridgeVlanAdd(nl, port, wanted))
}

/** Says on stderr that a bridge which was there before tells no VLANs apart: it is used as it is. */
export const warnIfUnfiltered = (bridge: Link, conf: BridgeConf): void => {
  if (!conf.vlanFiltering || bridge.vlanFiltering) return
  warn(
    `bridge "${bridge.name}" does not filter VLANs, so "vlan" and "vlanTrunk" separate nothing on it; ` +
      `turn it on with: ip link set ${bridge.name} type bridge vlan_filtering 1`,
  )
}

const numbersOf = ({ first, last }: VlanSpan): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** The VLANs a port should be in and is not, or not in that way, as `bridge vlan` would show them. */
export const missingPortVlans = (found: readonly PortVlan[], vlans: PortVlans): string[] => {
  const missing: string[] = []
  for (const span of wantedVlans(vlans)) {
    const { pvid = false, untagged = false } = span
    for (const vid of numbersOf(span)) {
      if (found.some(vlan => vlan.vid === vid && vlan.pvid === pvid && vlan.untagged === untagged)) continue
      missing.push(`${vid}${pvid ? ' pvid' : ''}${untagged ? ' untagged' : ''}`)
    }
  }
  return missing
}

/** Throws code 7 if what "uplinks" names is no port of the bridge. */
const uplinkOf = (nl: NetlinkSocket, bridge: Link, name: string): Link => {
  const uplink = linkByName(nl, name)
  if (uplink?.master === bridge.index) return uplink
  throw new CniError(
    ErrorCode.invalidNetworkConfig,
    `"uplinks": "${name}" is no port of bridge "${bridge.name}"`,
    { details: uplink ? `ip link set ${name} master ${bridge.name}` : 'there is no such interface' },
  )
}

/** The container's VLANs, which the uplinks must carry too. */
const uplinkVlans = ({ vlan, trunk }: BridgeConf): readonly number[] =>
  vlan === 0 ? trunk : [vlan, ...trunk]

/** Throws code 7 if ADD would find an uplink that is no port of the bridge. Changes nothing. */
export const probeUplinks = (nl: NetlinkSocket, bridge: Link, conf: BridgeConf): void => {
  if (uplinkVlans(conf).length > 0) for (const name of conf.uplinks) uplinkOf(nl, bridge, name)
}

/**
 * Has the bridge's ports to the outside carry the container's VLANs with their tags. VLANs that such a port is already
 * in stay unchanged; none is taken out again, other containers may be in the same VLANs.
 */
export const setUpUplinkVlans = (nl: NetlinkSocket, bridge: Link, conf: BridgeConf): void => {
  const wanted = uplinkVlans(conf)
  if (wanted.length === 0) return
  for (const name of conf.uplinks) {
    const uplink = uplinkOf(nl, bridge, name)
    const found = new Set(bridgeVlanList(nl, uplink).map(({ vid }) => vid))
    const missing = wanted.filter(vid => !found.has(vid))
    if (missing.length > 0) withVlans(() => bridgeVlanAdd(nl, uplink, spansOf(missing)))
  }
}
