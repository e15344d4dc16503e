import { containerWithPod, type InterfaceID, isAmong } from '../attachment/attachment'
import { CniError, ErrorCode, runAll } from '../cni/error'
import { atLeast } from '../cni/version'
import { attachmentOn, podInPairs } from './attachment'
import type { NetworkConfigList } from './conf-list'
import { detach } from './del'
import { alone } from './lock'
import { type CacheEntry, listCacheEntries, sweepCache } from './result-cache'
import { callInReverse, formatRequestConf, type RuntimeOptions, runPlugin } from './run-plugin'

/** The attachments of a network that are remembered and not valid: what GC is going to delete. */
export const staleAttachments = (
  list: NetworkConfigList,
  validAttachments: readonly InterfaceID[],
  cacheDir: string,
): CacheEntry[] => {
  const isValid = isAmong(validAttachments.map(id => attachmentOn(list.name, id)))
  return listCacheEntries(cacheDir).filter(entry => entry.network === list.name && !isValid(entry))
}

/**
 * Where a stale attachment's container was. The number in /proc/1234/ns/net may be another process by now, whose
 * interface a DEL would remove; without a namespace plugins delete all they can.
 */
const netnsOf = ({ netns }: CacheEntry): string => (netns.startsWith('/proc/') ? '' : netns)

const delStale = async (
  list: NetworkConfigList,
  entry: CacheEntry,
  options: RuntimeOptions,
): Promise<void> => {
  const { containerID, ifName } = entry
  try {
    await detach(list, { containerID, ifName, netns: netnsOf(entry) }, options)
  } catch (cause) {
    const { code, message, details } = CniError.from(cause)
    const text = `failed to delete stale attachment ${containerWithPod({ containerID, pod: podInPairs(entry.args) })} ${ifName}: ${message}`
    throw new CniError(code, text, { details, cause })
  }
}

/** An attachment that is believed to have ended, and whether that still holds when this runtime cannot add it again. */
type StaleAttachment = InterfaceID & { isStale(): Promise<boolean> }

/**
 * Deletes an attachment whose container has ended, without its namespace, if it is still so when no ADD of this runtime
 * runs. Says whether it was.
 */
export const delStaleAttachment = (
  list: NetworkConfigList,
  { containerID, ifName, isStale }: StaleAttachment,
  options: RuntimeOptions,
): Promise<boolean> =>
  alone(options.cacheDir, async () => {
    if (!(await isStale())) return false
    // The namespace is gone, or another container's by now: without one, plugins delete all they can.
    await detach(list, { containerID, ifName, netns: '' }, options)
    return true
  })

/** The attachments to keep; what answers them is asked when no ADD of this runtime runs any more. */
type ValidAttachments = readonly InterfaceID[] | (() => Promise<readonly InterfaceID[]>)

/**
 * Removes what is left of attachments that are not in `validAttachments`: calls DEL for those remembered, then, from
 * 1.1.0 on, GC of every plugin. Everything is tried, all failures are thrown joined. Does nothing for a network with
 * `disableGC`. An undefined list is refused with code 7, it would delete every container's network; an empty one means
 * just that. ADDs and DELs of this runtime wait meanwhile. Others do not, and a list that was made before this call
 * lacks what was added since: who cannot rule that out gives a function, and keeps other runtimes from adding.
 */
export const gcNetworkList = async (
  list: NetworkConfigList,
  validAttachments: ValidAttachments | undefined,
  options: RuntimeOptions,
): Promise<void> => {
  if (!validAttachments) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `GC of network "${list.name}" needs the list of valid attachments`,
    )
  }
  if (list.disableGC) return
  await alone(options.cacheDir, async () =>
    collect(
      list,
      typeof validAttachments === 'function' ? await validAttachments() : validAttachments,
      options,
    ),
  )
}

const collect = async (
  list: NetworkConfigList,
  validAttachments: readonly InterfaceID[],
  options: RuntimeOptions,
): Promise<void> => {
  const callsPlugins = atLeast(list.cniVersion, '1.1.0')
  await runAll([
    () =>
      runAll(
        staleAttachments(list, validAttachments, options.cacheDir).map(
          entry => () => delStale(list, entry, options),
        ),
      ),
    // As DEL does: rules go before the addresses they lead to are given back.
    () =>
      callInReverse(callsPlugins ? list.plugins : [], async plugin => {
        const stdin = formatRequestConf(list, plugin, { validAttachments })
        await runPlugin({ verb: 'GC', plugin, stdin }, options)
      }),
    () => sweepCache(options.cacheDir, list.name, validAttachments),
  ])
}
