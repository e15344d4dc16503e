import { existsSync } from 'node:fs'
import type { Attachment } from '../attachment/attachment'
import { CniError, ErrorCode } from '../cni/error'
import { atLeast, type SpecVersion } from '../cni/version'
import { type AttachmentParameters, attachmentOn, checkAttachment, withCachedParameters } from './attachment'
import type { NetworkConfigList, PluginConf } from './conf-list'
import { besideOthers } from './lock'
import { readCachedResult, readCacheEntry, removeCacheEntry, sweepHalfWritten } from './result-cache'
import { callInReverse, formatRequestConf, type RuntimeOptions, runPlugin } from './run-plugin'

type DelLink = {
  readonly list: NetworkConfigList
  readonly plugin: PluginConf
  readonly attachment: AttachmentParameters
  readonly prevResult: object | undefined
}

/**
 * Does a failed DEL mean that there is nothing left to delete? Code 3 says so. Old versions of the reference's plugins
 * fail with code 999 when the namespace is gone, and only their text tells (pkg/ns, GetNS).
 */
const isAlreadyGone = (error: CniError, netns: string): boolean => {
  if (error.code === ErrorCode.unknownContainer) return true
  const netnsIsGone = netns === '' || !existsSync(netns)
  return netnsIsGone && /failed to (open netns|Statfs) .*no such file or directory/.test(error.message)
}

/** Calls DEL of one plugin; succeeds too if it answers that what it should delete is gone. */
export const delPlugin = async (
  { list, plugin, attachment, prevResult }: DelLink,
  options: RuntimeOptions,
): Promise<void> => {
  const { capabilityArgs } = attachment
  const stdin = formatRequestConf(list, plugin, { prevResult, capabilityArgs })
  try {
    await runPlugin({ verb: 'DEL', plugin, stdin, attachment }, options)
  } catch (error) {
    if (!isAlreadyGone(CniError.from(error), attachment.netns)) throw error
  }
}

/** `delNetworkList` for those who hold the lock already. */
export const detach = async (
  list: NetworkConfigList,
  attachment: AttachmentParameters,
  options: RuntimeOptions,
): Promise<void> => {
  const { cacheDir } = options
  const key = attachmentOn(list.name, attachment)
  checkAttachment(key)
  const parameters = withCachedParameters(attachment, readCacheEntry(cacheDir, key))
  const prevResult = atLeast(list.cniVersion, '0.4.0')
    ? tryCachedResult(cacheDir, key, list.cniVersion)
    : undefined
  await callInReverse(list.plugins, plugin =>
    delPlugin({ list, plugin, attachment: parameters, prevResult }, options),
  )
  removeCacheEntry(cacheDir, key)
  // Of an ADD that was killed as it wrote its result.
  sweepHalfWritten(cacheDir)
}

const tryCachedResult = (cacheDir: string, key: Attachment, version: SpecVersion): object | undefined => {
  try {
    return readCachedResult(cacheDir, key, version)
  } catch {
    return undefined // plugins have to do without, and a container that cannot be deleted is of no use
  }
}

/**
 * Detaches a container: calls DEL of the plugins in reverse order, with the result of the ADD from 0.4.0 on if it can
 * still be read. Unlike libcni's, it goes on if one fails, except for those that give addresses back, and throws all failures
 * joined; the cached result is then kept for the next DEL, else removed. Equivalent to: `cnitool del`
 */
export const delNetworkList = (
  list: NetworkConfigList,
  attachment: AttachmentParameters,
  options: RuntimeOptions,
): Promise<void> => besideOthers(options.cacheDir, () => detach(list, attachment, options))
