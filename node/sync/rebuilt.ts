/**
 * Objects that sync wrote for attachments that turn out to be deleted. A runtime other than ours does not announce a
 * DEL: the plugins that were called first have removed what they made, while the interface and the cached result are
 * still there, as on a node whose rules were flushed. So sync looks for some time whether the interface goes.
 */
import { findHostVeth } from '../../plugins/bandwidth/host-veth'
import { CniError } from '../../src/cni/error'
import { pause, throwIfInterrupted } from '../../src/host/interrupt'
import { thisHost } from '../../src/life/host-view'
import { type Link, linkByIndex } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { closeNetns } from '../../src/netns/netns'
import { alone } from '../../src/runtime/lock'
import { openRecorded, type RecordedAttachment } from './records'

/** Removes one thing again that was written. */
export type TakeBack = () => void | Promise<void>

/** The objects written for an attachment, and the host's end of its veth pair at that time. */
export type Rebuilt = {
  readonly record: RecordedAttachment
  readonly veth: Link
  readonly takeBacks: readonly TakeBack[]
}

/** How long plugins of a DEL may take from the first that removes rules to the one that deletes the interface. */
const watchMs = 3000

const pollMs = 100

const hasSameVeth = (nl: NetlinkSocket, { veth }: Rebuilt): boolean => {
  const link = linkByIndex(nl, veth.index)
  return link?.kind === 'veth' && link.name === veth.name && link.alias === veth.alias
}

/** Has it an interface that another ADD has made since? Then the rules are those of that ADD. */
const hasNewVeth = (nl: NetlinkSocket, { record }: Rebuilt): boolean => {
  if (thisHost().vethOf(record.entry) !== undefined) return true
  const netns = openRecorded(record)
  if (!netns) return false
  try {
    return findHostVeth(nl, netns, record.entry) !== undefined
  } finally {
    closeNetns(netns)
  }
}

const isGone = (rebuilt: Rebuilt): boolean =>
  withNetlink(NETLINK_ROUTE, nl => !hasSameVeth(nl, rebuilt) && !hasNewVeth(nl, rebuilt))

/**
 * Undoes all writes if the attachment's interface is gone; returns the failures of that, undefined if the
 * interface is there. To be called when no ADD of our own runtime runs.
 */
export const takeBackIfGone = async (rebuilt: Rebuilt): Promise<string[] | undefined> => {
  if (!isGone(rebuilt)) return undefined
  const failures: string[] = []
  for (const takeBack of rebuilt.takeBacks.toReversed()) {
    try {
      await takeBack()
    } catch (error) {
      const { message, details } = CniError.from(error)
      failures.push([message, details].filter(Boolean).join('; '))
    }
  }
  return failures
}

/**
 * Watches attachments for as long as a DEL may take that was under way when they were rebuilt, and undoes what was
 * written for those whose interface goes. Answers these, each with what could not be undone.
 */
export const watchRebuilt = async (
  all: readonly Rebuilt[],
  cacheDir: string,
): Promise<Map<Rebuilt, readonly string[]>> => {
  const deadline = performance.now() + watchMs
  const gone = new Map<Rebuilt, readonly string[]>()
  let watched = all
  const look = async (): Promise<void> => {
    const going = withNetlink(NETLINK_ROUTE, nl => watched.filter(rebuilt => !hasSameVeth(nl, rebuilt)))
    watched = watched.filter(rebuilt => !going.includes(rebuilt))
    for (const rebuilt of going) {
      const failures = await alone(cacheDir, () => takeBackIfGone(rebuilt))
      if (failures) gone.set(rebuilt, failures)
    }
  }
  while (watched.length > 0 && performance.now() < deadline) {
    await pause(pollMs)
    throwIfInterrupted('watching for DELs of the rebuilt containers')
    await look()
  }
  return gone
}
