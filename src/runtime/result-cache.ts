/**
 * The result cache: one file an attachment, where libcni keeps them.
 *
 *   <cacheDir>/results/<network>-<containerID>-<ifName>    mode 0600, a CacheEntry
 *
 * libcni writes them in place, so a power cut leaves empty ones behind. Unreadable entries count as absent.
 */

import { lstatSync, readdirSync } from 'node:fs'
import * as v from 'valibot'
import type { Attachment, InterfaceID } from '../attachment/attachment'
import { parseResult, resultToJson } from '../cni/result'
import { isJsonObject, type JsonObject } from '../cni/schema'
import { atLeast, isSpecVersion, type SpecVersion } from '../cni/version'
import { errnoOf } from '../host/errno'
import { warn } from '../host/log'
import { readAdvice, readPlainFile } from '../host/plain-file'
import { type CniArg, checkAttachment } from './attachment'
import {
  ensureFolder,
  isOldFile,
  removeAbandoned,
  removeFile,
  temporaryPrefix,
  writeDurably,
} from './durable-file'
import { formatGoStruct } from './json'

/**
 * The runtime's cache entry of an attachment: one JSON object, byte for byte as libcni writes it (libcni/api.go,
 * cachedInfo), so that cnitool, containerd and this runtime read each other's.
 *
 *   {"kind":"cniCacheV1","containerId":…,"config":<base64>,"ifName":…,"networkName":…,"netns":…,
 *    "cniArgs":[["K","V"]],"capabilityArgs":{…},"result":{…}}
 *
 * The last four are left out when empty; the keys inside of the last two are sorted.
 */
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

const resultsFolder = (cacheDir: string): string => `${cacheDir}/results`

/** A configuration as long as one may be, in base64, and as much again for its result. */
const maxEntryBytes = 64 * 1024 * 1024

const read = (path: string): string | undefined => readAdvice(path, { maxBytes: maxEntryBytes })

const fileName = (key: Attachment): string => {
  checkAttachment(key)
  return `${key.network}-${key.containerID}-${key.ifName}`
}

/** The file of an attachment; throws code 4 or 7 for a key that may not become one. */
export const cachePath = (cacheDir: string, key: Attachment): string =>
  `${resultsFolder(cacheDir)}/${fileName(key)}`

/** When the file of an attachment was written, in milliseconds since the epoch; undefined if there is none. */
export const cachedAt = (cacheDir: string, key: Attachment): number | undefined =>
  lstatSync(cachePath(cacheDir, key), { throwIfNoEntry: false })?.mtimeMs

/** "a-b" + "c" and "a" + "b-c" share a file: what is in it says whose it is. */
const isOf = (entry: CacheEntry, key: Attachment): boolean =>
  entry.network === key.network && entry.containerID === key.containerID && entry.ifName === key.ifName

/** The cached result of an attachment; undefined if nothing is, or nothing that can be read. */
export const readCacheEntry = (cacheDir: string, key: Attachment): CacheEntry | undefined => {
  const entry = parseCacheEntry(read(cachePath(cacheDir, key)) ?? '')
  return entry && isOf(entry, key) ? entry : undefined
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A file of libcni before 0.8 is the result and nothing else. */
const readLegacyResult = (cacheDir: string, key: Attachment): unknown => {
  const value = parseJson(read(cachePath(cacheDir, key)) ?? '')
  return isJsonObject(value) && value.kind === undefined && value.cniVersion !== undefined ? value : undefined
}

/**
 * The result of an attachment's ADD, as it was if it is of that version, else converted; undefined if there is none.
 * Throws code 6 if what is cached is no result, and code 7 if `version` cannot say it.
 */
export const readCachedResult = (
  cacheDir: string,
  key: Attachment,
  version: SpecVersion,
): object | undefined => {
  const cached = readCacheEntry(cacheDir, key)?.result ?? readLegacyResult(cacheDir, key)
  if (!isJsonObject(cached)) return undefined
  const result = parseResult(cached, version, `the cached result in ${cachePath(cacheDir, key)}`)
  return cached.cniVersion === version ? cached : resultToJson(result, version)
}

/** Remembers an attachment, durably and all at once. Throws what node:fs throws. */
export const writeCacheEntry = (cacheDir: string, entry: CacheEntry): void => {
  const name = fileName(entry)
  ensureFolder(resultsFolder(cacheDir))
  writeDurably(resultsFolder(cacheDir), name, formatCacheEntry(entry))
}

/** Forgets an attachment. A file that holds another attachment's entry stays; none at all is no failure. */
export const removeCacheEntry = (cacheDir: string, key: Attachment): void => {
  const path = cachePath(cacheDir, key)
  const entry = parseCacheEntry(read(path) ?? '')
  if (!entry || isOf(entry, key)) removeFile(path)
}

const fileNames = (cacheDir: string): string[] => {
  try {
    return readdirSync(resultsFolder(cacheDir)).sort()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

const isUsable = (entry: CacheEntry): boolean => {
  try {
    checkAttachment(entry)
    return true
  } catch {
    return false
  }
}

const readOrWarn = (path: string): string => {
  try {
    return readPlainFile(path, { maxBytes: maxEntryBytes }) ?? ''
  } catch (error) {
    warn(`cached results: ${error instanceof Error ? error.message : error}: skipped`)
    return ''
  }
}

/** Every attachment remembered, in the order of the files' names; what cannot be read is left out, and named. */
export const listCacheEntries = (cacheDir: string): CacheEntry[] =>
  fileNames(cacheDir)
    .filter(name => !name.startsWith(temporaryPrefix))
    .map(name => parseCacheEntry(readOrWarn(`${resultsFolder(cacheDir)}/${name}`)))
    .filter(entry => entry !== undefined)
    .filter(isUsable)

/** Removes what ADDs that were killed were writing, of any network. */
export const sweepHalfWritten = (cacheDir: string): void => {
  try {
    removeAbandoned(resultsFolder(cacheDir))
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/**
 * Removes what crashes have left: what was being written, and files of this network that are not JSON and belong to no
 * valid attachment, if they are over an hour old: libcni writes them in place.
 */
export const sweepCache = (
  cacheDir: string,
  network: string,
  validAttachments: readonly InterfaceID[],
): void => {
  sweepHalfWritten(cacheDir)
  const valid = new Set(
    validAttachments.map(({ containerID, ifName }) => `${network}-${containerID}-${ifName}`),
  )
  for (const name of fileNames(cacheDir)) {
    const path = `${resultsFolder(cacheDir)}/${name}`
    if (name.startsWith(`${network}-`) && !valid.has(name) && isOldFile(path) && isTorn(path))
      removeFile(path)
  }
}

/** An unreadable file is not torn: a large file may be another program's. */
const isTorn = (path: string): boolean => {
  const text = read(path)
  return text !== undefined && parseJson(text) === undefined
}
