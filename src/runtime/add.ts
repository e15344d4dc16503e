import type { Attachment } from '../attachment/attachment'
import { CniError, ErrorCode } from '../cni/error'
import { parseResult } from '../cni/result'
import { isJsonObject, type JsonObject } from '../cni/schema'
import { atLeast, type SpecVersion } from '../cni/version'
import { throwIfInterrupted } from '../host/interrupt'
import { undoOnFailure } from '../host/undo'
import { type AttachmentParameters, attachmentOn, checkAttachment } from './attachment'
import type { NetworkConfigList, PluginConf } from './conf-list'
import { delPlugin } from './del'
import { besideOthers } from './lock'
import { readCacheEntry, writeCacheEntry } from './result-cache'
import { formatRequestConf, type RuntimeOptions, runPlugin } from './run-plugin'

type AddOptions = RuntimeOptions & {
  /**
   * The plugins that have run when one fails: "leave" them to the DEL the specification asks the caller for, as libcni
   * does and is the default, or "delete" at once, unless an earlier ADD is remembered.
   */
  readonly onFailure?: 'leave' | 'delete'
}

/** Reads what a plugin answered to ADD. A result without a version is in the network's; "null" is an empty one. */
const readResult = (stdout: string, version: SpecVersion, type: string): JsonObject => {
  const what = `the result of plugin "${type}"`
  let value: unknown
  try {
    value = JSON.parse(stdout) ?? {}
  } catch (cause) {
    throw new CniError(ErrorCode.decodingFailure, `${what} is not JSON`, { cause })
  }
  if (!isJsonObject(value)) throw new CniError(ErrorCode.decodingFailure, `${what} is not a JSON object`)
  parseResult(value, version, what)
  return value.cniVersion ? value : { ...value, cniVersion: version }
}

type ChainLink = {
  readonly list: NetworkConfigList
  readonly plugin: PluginConf
  readonly attachment: AttachmentParameters
  readonly prevResult: JsonObject | undefined
}

const addPlugin = async (link: ChainLink, options: RuntimeOptions): Promise<JsonObject> => {
  const { list, plugin, attachment, prevResult } = link
  throwIfInterrupted(`adding "${attachment.ifName}" to network "${list.name}"`)
  const { capabilityArgs } = attachment
  const stdin = formatRequestConf(list, plugin, { prevResult, capabilityArgs })
  const stdout = await runPlugin({ verb: 'ADD', plugin, stdin, attachment }, options)
  return readResult(stdout, list.cniVersion, plugin.type)
}

/**
 * Attaches a container to a network: calls ADD of its plugins in order, each with the result of the one before, and
 * caches and answers the last one's result as it printed it. Equivalent to: `cnitool add`
 */
export const addNetworkList = async (
  list: NetworkConfigList,
  attachment: AttachmentParameters,
  options: AddOptions,
): Promise<JsonObject> => {
  const key = attachmentOn(list.name, attachment)
  checkAttachment(key)
  return besideOthers(options.cacheDir, () => attach(list, key, attachment, options))
}

const attach = (
  list: NetworkConfigList,
  key: Attachment,
  attachment: AttachmentParameters,
  options: AddOptions,
): Promise<JsonObject> => {
  // An ADD of what is attached already fails. Taking it back would cut off a container that runs.
  const isNew = readCacheEntry(options.cacheDir, key) === undefined
  const takeBack = options.onFailure === 'delete' && isNew
  return undoOnFailure(async undo => {
    let result: JsonObject | undefined
    for (const plugin of list.plugins) {
      let isAdded = false
      const del = async () => {
        const prevResult = atLeast(list.cniVersion, '0.4.0') ? result : undefined
        try {
          await delPlugin({ list, plugin, attachment, prevResult }, options)
        } catch (error) {
          // A plugin that refused to add may refuse to delete, for the reason that is already thrown.
          if (isAdded) throw error
        }
      }
      // Before the ADD: a plugin that fails may leave something too.
      if (takeBack) undo.add(`DEL of plugin "${plugin.type}"`, del)
      result = await addPlugin({ list, plugin, attachment, prevResult: result }, options)
      isAdded = true
    }
    if (!result) throw new CniError(ErrorCode.invalidNetworkConfig, `network "${list.name}" has no plugins`)
    const { netns, args, capabilityArgs } = attachment
    writeCacheEntry(options.cacheDir, { ...key, netns, args, capabilityArgs, config: list.text, result })
    return result
  })
}
