/** Removes all that the plugins made on a node whose containers are gone, each thing by proof that it is this program's. */
import { type OwnedSysctl, ownedSysctls } from '../../src/host/owned-sysctl'
import { writeSysctl } from '../../src/host/sysctl'
import { linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { alone } from '../../src/runtime/lock'
import type { NodeAttachment } from '../survey/attachments'
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
