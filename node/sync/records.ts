/** The records a node is rebuilt from: what runtimes remember of attachments, and the networks' configurations. */
import { parseJsonObject, parseNetConf } from '../../src/cni/conf'
import type { Call } from '../../src/cni/plugin'
import { parseResult, type Result } from '../../src/cni/result'
import { isFrom } from '../../src/host/system-error'
import { type Netns, openNetns } from '../../src/netns/netns'
import { formatCniArgs } from '../../src/runtime/attachment'
import { type NetworkConfigList, type PluginConf, parseConfList } from '../../src/runtime/conf-list'
import { type CacheEntry, cachedAt, listCacheEntries, readCacheEntry } from '../../src/runtime/result-cache'
import { formatRequestConf } from '../../src/runtime/run-plugin'

/** An attachment as its runtime remembers it, and its network as it is configured now, or was then. */
export type RecordedAttachment = {
  readonly entry: CacheEntry
  readonly list: NetworkConfigList
  readonly result: Result
}

const madeAt = (cacheDir: string, entry: CacheEntry): number => cachedAt(cacheDir, entry) ?? 0

const recordOn = (list: NetworkConfigList, entry: CacheEntry): RecordedAttachment => ({
  entry,
  list,
  result: parseResult(entry.result, list.cniVersion, 'the cached result'),
})

const readRecord = (entry: CacheEntry, lists: readonly NetworkConfigList[]): RecordedAttachment => {
  const configured = lists.find(({ name }) => name === entry.network)
  return recordOn(
    configured ?? parseConfList(entry.config, `cached configuration of "${entry.network}"`),
    entry,
  )
}

/** The record as it is now; undefined if the runtime has forgotten the attachment since. */
export const readAgain = (
  cacheDir: string,
  { entry, list }: RecordedAttachment,
): RecordedAttachment | undefined => {
  const now = readCacheEntry(cacheDir, entry)
  return now && recordOn(list, now)
}

/**
 * Every attachment there is a record of, in the order of their ADDs, so that rules come back in theirs. One whose record
 * cannot be used is passed to `onBroken`.
 */
export const readRecords = (
  cacheDir: string,
  lists: readonly NetworkConfigList[],
  onBroken: (entry: CacheEntry, error: unknown) => void,
): RecordedAttachment[] =>
  listCacheEntries(cacheDir)
    .map(entry => ({ entry, time: madeAt(cacheDir, entry) }))
    .sort((a, b) => a.time - b.time)
    .flatMap(({ entry }) => {
      try {
        return [readRecord(entry, lists)]
      } catch (error) {
        onBroken(entry, error)
        return []
      }
    })

/** The container's namespace; undefined if it is gone. */
export const openRecorded = ({ entry }: RecordedAttachment): Netns | undefined => {
  if (!entry.netns) return undefined
  try {
    return openNetns(entry.netns)
  } catch (error) {
    if (isFrom(error, 'netns')) return undefined
    throw error
  }
}

/** The call of a plugin of the list as a runtime would make it for CHECK. */
export const callFor = ({ entry, list }: RecordedAttachment, plugin: PluginConf, netns: Netns): Call => {
  const { capabilityArgs, result: prevResult } = entry
  const stdin = formatRequestConf(list, plugin, { capabilityArgs, prevResult })
  const raw = parseJsonObject(stdin)
  return {
    env: {
      command: 'CHECK',
      containerID: entry.containerID,
      netns: entry.netns,
      ifName: entry.ifName,
      args: formatCniArgs(entry.args ?? []),
      path: [],
      netnsOverride: false,
    },
    stdin,
    raw,
    conf: parseNetConf(raw),
    version: list.cniVersion,
    netns,
    builtIns: new Map(),
  }
}
