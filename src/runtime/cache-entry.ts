/**
 * The runtime's cache entry of an attachment: one JSON object, byte for byte as libcni writes it (libcni/api.go,
 * cachedInfo), so that cnitool, containerd and this runtime read each other's.
 *
 *   {"kind":"cniCacheV1","containerId":…,"config":<base64>,"ifName":…,"networkName":…,"netns":…,
 *    "cniArgs":[["K","V"]],"capabilityArgs":{…},"result":{…}}
 *
 * The last four are left out when empty; the keys inside of the last two are sorted.
 */
import * as v from 'valibot'
import type { Attachment } from '../attachment/attachment'
import { isJsonObject, type JsonObject } from '../cni/schema'
import { atLeast, isSpecVersion } from '../cni/version'
import type { CniArg } from './attachment'
import { formatGoStruct } from './json'

export type CacheEntry = Attachment & {
  readonly netns: string
  /** The text of the network's configuration at the time. */
  readonly config: string
  readonly args?: readonly CniArg[] | undefined
  readonly capabilityArgs?: JsonObject | undefined
  /** The result of the ADD, in the version its plugin answered in. */
  readonly result?: JsonObject | undefined
}

const kind = 'cniCacheV1'

const filled = <T extends object>(value: T | undefined): T | undefined =>
  value && Object.keys(value).length > 0 ? value : undefined

/** From 1.0.0 on Go's types leave an empty `dns` out of a result, before that they always write it. */
const fixDns = (result: JsonObject | undefined): JsonObject | undefined => {
  if (!result) return undefined
  const { dns, ...rest } = result
  const version = result.cniVersion
  const always = typeof version === 'string' && isSpecVersion(version) && !atLeast(version, '1.0.0')
  if (always || (isJsonObject(dns) && filled(dns))) return { ...rest, dns: dns ?? {} }
  return rest
}

export const formatCacheEntry = (entry: CacheEntry): string =>
  formatGoStruct([
    ['kind', kind],
    ['containerId', entry.containerID],
    ['config', Buffer.from(entry.config).toString('base64')],
    ['ifName', entry.ifName],
    ['networkName', entry.network],
    ['netns', entry.netns || undefined],
    ['cniArgs', filled(entry.args)],
    ['capabilityArgs', filled(entry.capabilityArgs)],
    ['result', filled(fixDns(entry.result))],
  ])

const object = () => v.custom<JsonObject>(isJsonObject)

const entrySchema = () =>
  v.object({
    kind: v.literal(kind),
    containerId: v.string(),
    config: v.string(),
    ifName: v.string(),
    networkName: v.string(),
    netns: v.optional(v.string(), ''),
    cniArgs: v.optional(v.array(v.tuple([v.string(), v.string()]))),
    capabilityArgs: v.optional(object()),
    result: v.optional(object()),
  })

let schema: ReturnType<typeof entrySchema> | undefined

/** Reads an entry; undefined for any text that is none. */
export const parseCacheEntry = (text: string): CacheEntry | undefined => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  schema ??= entrySchema()
  const answer = v.safeParse(schema, value)
  if (!answer.success) return undefined
  const { containerId, config, ifName, networkName, netns, cniArgs, capabilityArgs, result } = answer.output
  return {
    containerID: containerId,
    ifName,
    network: networkName,
    netns,
    config: Buffer.from(config, 'base64').toString('utf8'),
    args: cniArgs,
    capabilityArgs,
    result,
  }
}
