/** The verbs that change nothing: CHECK and STATUS of a network. */

import { containerWithPod } from '../attachment/attachment'
import { CniError, ErrorCode, runAll } from '../cni/error'
import { atLeast } from '../cni/version'
import { type AttachmentParameters, attachmentOn, podInPairs, withCachedParameters } from './attachment'
import type { NetworkConfigList } from './conf-list'
import { cachePath, readCachedResult, readCacheEntry } from './result-cache'
import { formatRequestConf, type RuntimeOptions, runPlugin } from './run-plugin'

/**
 * Checks an attachment: calls CHECK of the plugins in order and throws what the first failing one says. Does nothing
 * for a network with `disableCheck`; throws code 1 before 0.4.0, and code 3 without the result of the ADD.
 */
export const checkNetworkList = async (
  list: NetworkConfigList,
  attachment: AttachmentParameters,
  options: RuntimeOptions,
): Promise<void> => {
  const { cacheDir } = options
  const key = attachmentOn(list.name, attachment)
  const path = cachePath(cacheDir, key)
  if (!atLeast(list.cniVersion, '0.4.0')) {
    throw new CniError(
      ErrorCode.incompatibleVersion,
      `configuration version "${list.cniVersion}" does not support the CHECK command`,
    )
  }
  if (list.disableCheck) return
  const prevResult = readCachedResult(cacheDir, key, list.cniVersion)
  if (!prevResult) {
    throw new CniError(
      ErrorCode.unknownContainer,
      `container ${containerWithPod({ ...key, pod: podInPairs(attachment.args) })} has no "${key.ifName}" on network "${list.name}"`,
      { details: `CHECK needs the result of the ADD, and there is none that can be read in ${path}` },
    )
  }
  const parameters = withCachedParameters(attachment, readCacheEntry(cacheDir, key))
  const { capabilityArgs } = parameters
  for (const plugin of list.plugins) {
    const stdin = formatRequestConf(list, plugin, { prevResult, capabilityArgs })
    await runPlugin({ verb: 'CHECK', plugin, stdin, attachment: parameters }, options)
  }
}

/**
 * Is the network ready for containers? Calls STATUS of every plugin and throws all failures joined, with the code of
 * the first. Before 1.1.0 there is nothing to ask and the answer is yes.
 */
export const statusNetworkList = async (list: NetworkConfigList, options: RuntimeOptions): Promise<void> => {
  if (!atLeast(list.cniVersion, '1.1.0')) return
  await runAll(
    list.plugins.map(plugin => async () => {
      await runPlugin({ verb: 'STATUS', plugin, stdin: formatRequestConf(list, plugin, {}) }, options)
    }),
  )
}
