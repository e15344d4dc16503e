/**
 * Rebuilds what attachments have on the host from what runtimes remember of them. Everything is compared first, so that
 * a node on which nothing is missing is left as it is. A DEL that has not ended may have removed the missing objects:
 * our own runtime's are waited for, and what others delete meanwhile is undone, see rebuilt.ts.
 */
import { findHostVeth } from '../../plugins/bandwidth/host-veth'
import { type Attachment, containerWithPod } from '../../src/attachment/attachment'
import { CniError } from '../../src/cni/error'
import { throwIfInterrupted } from '../../src/host/interrupt'
import type { Link } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { closeNetns, type Netns } from '../../src/netns/netns'
import { podInPairs } from '../../src/runtime/attachment'
import type { PluginConf } from '../../src/runtime/conf-list'
import { alone } from '../../src/runtime/lock'
import { bridgeComparisons } from './bridge'
import type { ChangeKind, Comparison } from './change'
import { type Rebuilt, type TakeBack, takeBackIfGone } from './rebuilt'
import { callFor, openRecorded, type RecordedAttachment, readAgain } from './records'
import { bandwidthComparisons, kubenetComparisons, portmapComparisons } from './rules'

/** The state of an attachment. */
export type SyncedAttachment = {
  readonly network: string
  readonly containerID: string
  readonly ifName: string
  /** "namespace/name", where the runtime told it. */
  readonly pod: string | undefined
  /** "gone": the container or its interface is not there any more, and nothing is rebuilt for it. */
  readonly state: 'whole' | 'rebuilt' | 'gone' | 'failed'
  /** The changes, made or planned. */
  readonly changes: readonly { readonly what: ChangeKind; readonly text: string }[]
  /** The failures. */
  readonly failures: readonly string[]
}

const comparisonsOf = (
  record: RecordedAttachment,
  plugin: PluginConf,
  netns: Netns,
  veth: string,
): Comparison[] => {
  const call = callFor(record, plugin, netns)
  switch (plugin.type) {
    case 'kubenet':
      return kubenetComparisons(call, record.result, veth)
    case 'bridge':
      return bridgeComparisons(call, record.result, { veth })
    case 'portmap':
      return portmapComparisons(call)
    case 'bandwidth':
      return bandwidthComparisons(call)
    default:
      return [] // what another plugin made only that one can rebuild
  }
}

type Outcome = Pick<SyncedAttachment, 'changes' | 'failures'> & {
  /** Of each change, also of one that failed half-way. */
  readonly takeBacks: readonly TakeBack[]
}

/** A failure as a line of a report. */
export const reasonOf = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join('; ')
}

/** Compares and changes one aspect after the other: a port needs its bridge. A failure does not stop the rest. */
const runComparisons = async (comparisons: readonly Comparison[], isDry: boolean): Promise<Outcome> => {
  const changes: SyncedAttachment['changes'][number][] = []
  const failures: string[] = []
  const takeBacks: TakeBack[] = []
  for (const compare of comparisons) {
    try {
      for (const { what, text, apply, takeBack } of await compare()) {
        if (!isDry && takeBack) takeBacks.push(takeBack)
        if (!isDry) await apply()
        changes.push({ what, text })
      }
    } catch (error) {
      failures.push(reasonOf(error))
    }
  }
  return { changes, failures, takeBacks }
}

const stateOf = ({ changes, failures }: Outcome): SyncedAttachment['state'] => {
  if (failures.length > 0) return 'failed'
  return changes.length > 0 ? 'rebuilt' : 'whole'
}

/** An outcome, and the host's end of the veth pair it is about. */
type Seen = Outcome & { readonly veth: Link }

const compareInside = async (
  record: RecordedAttachment,
  netns: Netns,
  isDry: boolean,
): Promise<Seen | undefined> => {
  const veth = withNetlink(NETLINK_ROUTE, nl => findHostVeth(nl, netns, record.entry))
  if (!veth) return undefined
  try {
    const comparisons = record.list.plugins.flatMap(plugin => comparisonsOf(record, plugin, netns, veth.name))
    return { veth, ...(await runComparisons(comparisons, isDry)) }
  } catch (error) {
    return { veth, changes: [], failures: [reasonOf(error)], takeBacks: [] }
  }
}

/** Compares an attachment with the kernel, and changes it unless `isDry`; undefined if it is gone. */
const compareAttachment = async (record: RecordedAttachment, isDry: boolean): Promise<Seen | undefined> => {
  const netns = openRecorded(record)
  if (!netns) return undefined
  try {
    return await compareInside(record, netns, isDry)
  } finally {
    closeNetns(netns)
  }
}

/** An attachment that was looked at; `rebuilt` is there if something was written that its DEL may have passed already. */
export type Synced = { readonly attachment: SyncedAttachment; readonly rebuilt?: Rebuilt }

type Identity = Attachment & Pick<SyncedAttachment, 'pod'>

const idOf = ({ entry: { network, containerID, ifName, args } }: RecordedAttachment): Identity => ({
  network,
  containerID,
  ifName,
  pod: podInPairs(args),
})

/** The report on an attachment that is gone; a step that cannot be undone is a failure. */
export const goneAttachment = (id: Identity, failures: readonly string[] = []): SyncedAttachment => ({
  ...id,
  state: failures.length > 0 ? 'failed' : 'gone',
  changes: [],
  failures,
})

/** Rebuilds an attachment when no call of our own runtime for it is under way. */
const rebuildAttachment = async (seenBefore: RecordedAttachment, cacheDir: string): Promise<Synced> => {
  const id = idOf(seenBefore)
  const record = readAgain(cacheDir, seenBefore)
  const seen = record && (await compareAttachment(record, false))
  if (!seen) return { attachment: goneAttachment(id) }
  const { changes, failures, takeBacks, veth } = seen
  const rebuilt = { record, veth, takeBacks }
  const said = await takeBackIfGone(rebuilt)
  if (said) return { attachment: goneAttachment(id, said) }
  const attachment = { ...id, state: stateOf(seen), changes, failures }
  return takeBacks.length > 0 ? { attachment, rebuilt } : { attachment }
}

/** Rebuilds what is missing of one attachment; with `isDry` only says what that is. */
export const syncAttachment = async (
  record: RecordedAttachment,
  { isDry, cacheDir }: { isDry: boolean; cacheDir: string },
): Promise<Synced> => {
  const id = idOf(record)
  throwIfInterrupted(`rebuilding container ${containerWithPod(id)} of network "${id.network}"`)
  const seen = await compareAttachment(record, true)
  if (!seen) return { attachment: goneAttachment(id) }
  const { changes, failures } = seen
  const isWhole = changes.length === 0 && failures.length === 0
  if (isDry || isWhole) return { attachment: { ...id, state: stateOf(seen), changes, failures } }
  try {
    return await alone(cacheDir, () => rebuildAttachment(record, cacheDir))
  } catch (error) {
    return { attachment: { ...id, state: 'failed', changes: [], failures: [reasonOf(error)] } }
  }
}
