import { type Attachment, validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type Link, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { readBandwidthConf } from './config'
import { formatAlias, ifbNames, ifbPrefix, isAliasOn } from './ifb'
import { redirectList } from './redirects'
import { removeIfb } from './teardown'

/** Between making an ifb and leading packets to it, an ADD takes a few milliseconds. */
const addMs = 250

const ourIfbs = (nl: NetlinkSocket): Link[] =>
  linkList(nl).filter(({ kind, name }) => kind === 'ifb' && name.startsWith(ifbPrefix))

/** Does its alias name an attachment to this network that the runtime does not know? */
const isStale = ({ alias }: Link, network: string, valid: readonly Attachment[]): boolean =>
  isAliasOn(alias, network) && !valid.some(attachment => formatAlias({ network, ...attachment }) === alias)

/**
 * The ifbs no alias says the owner of, made by the reference or by an ADD that was killed, that are useless: none
 * of the valid attachments has one of that name, and nothing is redirected to it. They may be another network's as
 * well, but then they are no less useless.
 */
const orphans = (nl: NetlinkSocket, ifbs: readonly Link[], names: ReadonlySet<string>): Link[] => {
  const nameless = ifbs.filter(({ alias, name }) => !alias && !names.has(name))
  if (nameless.length === 0) return []
  const used = new Set(redirectList(nl).map(({ to }) => to))
  return nameless.filter(({ index }) => !used.has(index))
}

/** The same, without those that an ADD is just about to use. */
const lastingOrphans = async (nl: NetlinkSocket, names: ReadonlySet<string>): Promise<Link[]> => {
  const before = orphans(nl, ourIfbs(nl), names)
  if (before.length === 0) return []
  // An ADD makes its ifb first and points the veth at it after: one caught between the two is no orphan.
  await new Promise(resolve => setTimeout(resolve, addMs))
  return orphans(nl, ourIfbs(nl), names).filter(({ index }) => before.some(ifb => ifb.index === index))
}

const collect = async (nl: NetlinkSocket, network: string, valid: readonly Attachment[]): Promise<void> => {
  const stale = ourIfbs(nl).filter(ifb => isStale(ifb, network, valid))
  const redirects = stale.length > 0 ? redirectList(nl) : []
  const names = new Set(valid.flatMap(attachment => ifbNames({ network, ...attachment })))
  await runAll([
    ...stale.map(ifb => () => removeIfb(nl, ifb, redirects)),
    async () => {
      const useless = await lastingOrphans(nl, names)
      await runAll(useless.map(ifb => () => removeIfb(nl, ifb, [])))
    },
  ])
}

export const gc = async (call: Call): Promise<void> => {
  const { network } = readBandwidthConf(call)
  const valid = validAttachments(call.conf)
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    await collect(nl, network, valid)
  } finally {
    nl.close()
  }
}
