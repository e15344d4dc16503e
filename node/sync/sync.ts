/**
 * Rebuilds what attachments have on the host from what runtimes remember of them. Everything is compared first, so that
 * a node on which nothing is missing is left as it is.
 */

import { findHostVeth } from '../../plugins/bandwidth/host-veth'
import { CniError } from '../../src/cni/error'
import { throwIfInterrupted } from '../../src/host/interrupt'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { closeNetns, type Netns } from '../../src/netns/netns'
import type { PluginConf } from '../../src/runtime/plugin-conf'
import { bridgeComparisons } from './bridge'
import type { ChangeKind, Comparison } from './change'
import { callFor, openRecorded, type RecordedAttachment } from './records'
import { bandwidthComparisons, kubenetComparisons, portmapComparisons } from './rules'

/** What became of an attachment. */
export type SyncedAttachment = {
  readonly network: string
  readonly containerID: string
  readonly ifName: string
  /** "gone": the container or its interface is not there any more, and nothing is rebuilt for it. */
  readonly state: 'whole' | 'rebuilt' | 'gone' | 'failed'
  /** What was done, or would be. */
  readonly changes: readonly { readonly what: ChangeKind; readonly text: string }[]
  /** What could not be done. */
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

type Outcome = Pick<SyncedAttachment, 'changes' | 'failures'>

const reasonOf = (error: unknown): string => {
  const { message, details } = CniError.from(error)
  return [message, details].filter(Boolean).join('; ')
}

/** Compares and changes one aspect after the other: a port needs its bridge. What fails keeps nothing else from it. */
const runComparisons = async (comparisons: readonly Comparison[], isDry: boolean): Promise<Outcome> => {
  const changes: SyncedAttachment['changes'][number][] = []
  const failures: string[] = []
  for (const compare of comparisons) {
    try {
      for (const { what, text, apply } of await compare()) {
        if (!isDry) await apply()
        changes.push({ what, text })
      }
    } catch (error) {
      failures.push(reasonOf(error))
    }
  }
  return { changes, failures }
}

const stateOf = ({ changes, failures }: Outcome): SyncedAttachment['state'] => {
  if (failures.length > 0) return 'failed'
  return changes.length > 0 ? 'rebuilt' : 'whole'
}

const syncInside = async (
  record: RecordedAttachment,
  netns: Netns,
  isDry: boolean,
): Promise<Outcome | undefined> => {
  const veth = withNetlink(NETLINK_ROUTE, nl => findHostVeth(nl, netns, record.entry))
  if (!veth) return undefined
  try {
    const comparisons = record.list.plugins.flatMap(plugin => comparisonsOf(record, plugin, netns, veth.name))
    return await runComparisons(comparisons, isDry)
  } catch (error) {
    return { changes: [], failures: [reasonOf(error)] }
  }
}

/** Rebuilds what is missing of one attachment; with `isDry` only says what that is. */
export const syncAttachment = async (
  record: RecordedAttachment,
  isDry: boolean,
): Promise<SyncedAttachment> => {
  const { network, containerID, ifName } = record.entry
  throwIfInterrupted(`rebuilding container "${containerID}" of network "${network}"`)
  const netns = openRecorded(record)
  try {
    const outcome = netns && (await syncInside(record, netns, isDry))
    const id = { network, containerID, ifName }
    if (!outcome) return { ...id, state: 'gone', changes: [], failures: [] }
    return { ...id, state: stateOf(outcome), ...outcome }
  } finally {
    if (netns) closeNetns(netns)
  }
}
