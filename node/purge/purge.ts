/** Removes all that the plugins made on a node whose containers are gone, each thing by proof that it is this program's. */
import { hostMac } from '../../plugins/bridge/bridge'
import { type OwnedSysctl, ownedSysctls } from '../../src/host/owned-sysctl'
import { writeSysctl } from '../../src/host/sysctl'
import { widthOf } from '../../src/ip/addr'
import { linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { alone } from '../../src/runtime/lock'
import type { NodeAttachment } from '../survey/attachments'
import type { HostLink } from '../survey/links'
import type { Survey } from '../survey/survey'
import { dottedKey } from '../sysctls'
import { purgeFiles } from './files'
import { purgeLinks } from './links'
import { purgeRules } from './rules'
import { Tally } from './tally'

/**
 * The attachments that forbid a purge: those that are not proven to be gone. With `force` one counts as gone of which
 * nothing is seen, though no record proves it.
 */
export const obstacles = ({ attachments }: Survey, force: boolean): NodeAttachment[] =>
  attachments.filter(({ state, proven }) => state !== 'gone' || !(proven || force))

/** Is it a veth whose other end is not in the host's namespace? */
const leadsAway = ({ kind, peer, peerNsid }: HostLink): boolean =>
  kind === 'veth' && (peer === 0 || peerNsid !== undefined)

/**
 * The veths whose owner nothing tells, which a running container may have whose lease and result were lost: then its rules
 * seem to be those of a container that is gone. On a bridge of our networks, or of this program, such a veth always forbids
 * a purge; elsewhere (on another bridge, or with the route to one address) only if something may be left of its owner.
 */
export const vethsOfNobody = ({ attachments, readings: { links, networks, routes } }: Survey): HostLink[] => {
  const owned = new Set(attachments.map(({ veth }) => veth?.index))
  const named = new Set(networks.map(({ bridge }) => bridge))
  const bridges = new Map(links.filter(({ kind }) => kind === 'bridge').map(link => [link.index, link]))
  const uplinks = new Set(routes.filter(({ dst }) => dst.prefix === 0).map(({ index }) => index))
  const single = routes.filter(({ dst: { addr, prefix } }) => prefix === widthOf(addr.family))
  const pointed = new Set(single.map(({ index }) => index).filter(index => !uplinks.has(index)))
  return links.filter(veth => {
    if (!leadsAway(veth) || owned.has(veth.index)) return false
    const bridge = bridges.get(veth.master)
    if (bridge && (named.has(bridge.name) || bridge.mac === hostMac(bridge.name))) return true
    return attachments.length > 0 && (bridge !== undefined || pointed.has(veth.index))
  })
}

/** Kinds of interfaces for which no other program needs forwarding. */
const plainKinds = ['', 'bond', 'dummy', 'ifb', 'team', 'vlan']

/** The interface of another program for which a sysctl stays as it is; undefined if there is none. */
const otherUser = (key: string): string | undefined =>
  withNetlink(NETLINK_ROUTE, linkList).find(({ kind }) =>
    key.startsWith('net/bridge/') ? kind === 'bridge' : !plainKinds.includes(kind),
  )?.name

const setBack = ({ key, before, value }: OwnedSysctl, tally: Tally): void => {
  const user = otherUser(key)
  const name = dottedKey(key)
  if (user !== undefined) tally.kept.push(`sysctl ${name} stays ${value}: "${user}" may need it`)
  else tally.remove(`sysctl ${name}, set back to ${before}`, () => writeSysctl(key, before))
}

type Wish = { readonly survey: Survey; readonly confDir: string; readonly cacheDir: string }

/** Purges the node while no runtime of ours adds or deletes. Never throws for what cannot be removed: the tally says it. */
export const purgeNode = ({ survey, confDir, cacheDir }: Wish): Promise<Tally> =>
  alone(cacheDir, async () => {
    const tally = new Tally()
    const { networks } = survey.readings
    const own = networks.filter(({ types }) => types.includes('kubenet') || types.includes('bridge'))
    await purgeRules(tally)
    purgeLinks(
      own.flatMap(({ bridge }) => bridge ?? []),
      tally,
    )
    tally.attempt('the sysctls', () => {
      for (const sysctl of ownedSysctls()) setBack(sysctl, tally)
    })
    // The records of sysctls are among the files.
    const dataDirs = networks.flatMap(({ ipam }) => ipam?.dataDir ?? [])
    purgeFiles({ dataDirs, confDir, cacheDir }, tally)
    return tally
  })
