import type { Attachment } from '../../src/attachment/attachment'
import { isAliasOf } from '../../src/attachment/interfaces'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { parseResult } from '../../src/cni/result'
import { warn } from '../../src/host/log'
import { type Link, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { readBandwidthConf } from './config'
import { findHostVethOf } from './host-veth'
import { redirectList } from './redirects'
import { removeRedirect, removeShaper } from './shaper'
import { ifbsOf, removeIfb } from './teardown'

/** Possible leftovers of an attachment's limits: on the host's end of its veth pair, if there is one, and its ifbs. */
export type Shaping = { readonly veth: Link | undefined; readonly ifbs: readonly Link[] }

export const findShaping = (nl: NetlinkSocket, call: Call): Shaping => {
  const { network } = readBandwidthConf(call)
  const { containerID, ifName } = call.env
  const id = { network, containerID, ifName }
  const veth = findHostVethOf(nl, call) ?? findOutOfReach(nl, call, id)
  return { veth, ifbs: ifbsOf(nl, id, { veth, named: hostNames(call) }) }
}

/** The host's end where the namespace cannot be opened: the one whose alias says so. Warns if there is none. */
const findOutOfReach = (nl: NetlinkSocket, { outOfReach }: Call, id: Attachment): Link | undefined => {
  if (!outOfReach) return undefined
  const veth = linkList(nl).find(({ kind, alias }) => kind === 'veth' && isAliasOf(alias, id))
  if (!veth)
    warn(
      `bandwidth: limits on the host's end of "${id.ifName}" may stay until it is deleted: ` +
        `${outOfReach.message}: ${outOfReach.details}`,
    )
  return veth
}

/** The host's interfaces in the runtime's result; none if that cannot be read. */
const hostNames = ({ conf: { prevResult }, version }: Call): string[] => {
  if (prevResult === undefined) return []
  try {
    const { interfaces } = parseResult(prevResult, version, 'prevResult')
    return interfaces.filter(({ sandbox }) => !sandbox).map(({ name }) => name)
  } catch {
    return []
  }
}

/**
 * Removes the attachment's ifb and what leads to it. The qdiscs of the veth pair would go with it, but it may outlive
 * this call: in a chain, the plugin that made it comes after this one, and a redirect to nowhere loses packets.
 */
export const removeShaping = (nl: NetlinkSocket, { veth, ifbs }: Shaping): Promise<void> =>
  runAll([
    () => {
      if (veth) removeRedirect(nl, veth, ifbs)
    },
    () => {
      if (veth) removeShaper(nl, veth)
    },
    ...ifbs.map(ifb => () => removeIfb(nl, ifb, veth ? [] : redirectList(nl))),
  ])

export const del = async (call: Call): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    await removeShaping(nl, findShaping(nl, call))
  } finally {
    nl.close()
  }
}
