import { type Attachment, isAmong, isOn } from '../../src/attachment/attachment'
import { ifbNames, ifbPrefix, parseAlias } from '../../src/attachment/interfaces'
import { validAttachments } from '../../src/cni/conf'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { pause } from '../../src/host/interrupt'
import { type Link, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { readBandwidthConf } from './config'
import { takeDownIfb } from './del'
import { redirectList } from './ifb'

/** Between making an ifb and leading packets to it, an ADD takes a few milliseconds. */
const addMs = 250

const ourIfbs = (nl: NetlinkSocket): Link[] =>
  linkList(nl).filter(({ kind, name }) => kind === 'ifb' && name.startsWith(ifbPrefix))

/** The ifbs whose aliases name an attachment to this network that the runtime does not know. */
const staleIfbs = (nl: NetlinkSocket, network: string, valid: readonly Attachment[]): Link[] => {
  const isValid = isAmong(valid)
  return ourIfbs(nl).filter(({ alias }) => {
    const id = parseAlias(alias)
    return id !== undefined && isOn(id, network) && !isValid(id)
  })
}

/**
 * The ifbs no alias says the owner of, made by the reference or by an ADD that was killed, that are useless: none
 * of the valid attachments has one of that name, and nothing is redirected to it. They may be another network's as
 * well, but then they are no less useless.
 */
const orphans = (nl: NetlinkSocket, valid: readonly Attachment[]): Link[] => {
  const unmarked = ourIfbs(nl).filter(({ alias }) => !alias)
  // Each name is a hash, which costs more than all the rest.
  if (unmarked.length === 0) return []
  const names = new Set(valid.flatMap(ifbNames))
  const nameless = unmarked.filter(({ name }) => !names.has(name))
  if (nameless.length === 0) return []
  const used = new Set(redirectList(nl).map(({ to }) => to))
  return nameless.filter(({ index }) => !used.has(index))
}

/** The same, without those that an ADD is just about to use. */
const lastingOrphans = async (nl: NetlinkSocket, valid: readonly Attachment[]): Promise<Link[]> => {
  const before = orphans(nl, valid)
  if (before.length === 0) return []
  // An ADD makes its ifb first and points the veth at it after: one caught between the two is no orphan.
  await pause(addMs) // nothing announces that an ADD has come to an end
  return orphans(nl, valid).filter(({ index }) => before.some(ifb => ifb.index === index))
}

const collect = async (nl: NetlinkSocket, network: string, valid: readonly Attachment[]): Promise<void> => {
  const stale = staleIfbs(nl, network, valid)
  const redirects = stale.length > 0 ? redirectList(nl) : []
  await runAll([
    ...stale.map(ifb => () => takeDownIfb(nl, ifb, redirects)),
    async () => {
      const useless = await lastingOrphans(nl, valid)
      await runAll(useless.map(ifb => () => takeDownIfb(nl, ifb, [])))
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
