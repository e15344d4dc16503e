import { isAliasOf, parseAlias } from '../../src/attachment/interfaces'
import type { Call } from '../../src/cni/plugin'
import { endStep } from '../../src/host/steps'
import { isFrom } from '../../src/host/system-error'
import { type Link, linkDelTogether } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { findShaping, removeShaping, type Shaping } from '../bandwidth/del'
import { callOf } from './parts'

type Links = readonly [Link, ...Link[]]

/** Does the veth say that it is another attachment's? Two of one container may have changed their names. */
const isAnothers = ({ alias }: Link, call: Call): boolean =>
  parseAlias(alias) !== undefined && !isAliasOf(alias, { ...call.env, network: call.conf.name })

/**
 * A shaped attachment's veth and ifbs, if they can go together. By deleting them together their groups are lost, so that
 * an ifb without an alias is not among those: if this process were killed, nothing would tell the next DEL whose it is.
 */
const linksOf = ({ veth, ifbs }: Shaping, call: Call): Links | undefined =>
  veth && !isAnothers(veth, call) && ifbs.length > 0 && ifbs.every(({ alias }) => alias)
    ? [veth, ...ifbs]
    : undefined

/** Says whether they are gone. */
const deleteTogether = (nl: NetlinkSocket, links: Links): boolean => {
  try {
    linkDelTogether(nl, links)
    endStep('links')
    return true
  } catch (error) {
    if (isFrom(error, 'netlink')) return false
    throw error
  }
}

/**
 * Removes an attachment's limits, and its veth pair in the same message as the ifb: the kernel lets whoever deletes a
 * link wait, some 10 to 30 ms, and for several at once only once. Says whether the pair is gone; where there is no ifb,
 * or the kernel does not want to, it is left to the plugin that made it.
 */
export const deleteShapedLinks = async (
  call: Call,
  { withVeth }: { withVeth: boolean },
): Promise<boolean> => {
  const own = callOf(call, { type: 'bandwidth' })
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    const shaping = findShaping(nl, own)
    const links = withVeth ? linksOf(shaping, call) : undefined
    if (links && deleteTogether(nl, links)) return true
    // Some disappeared meanwhile, so they could not be deleted together.
    await removeShaping(nl, links ? findShaping(nl, own) : shaping)
    return false
  } finally {
    nl.close()
  }
}
