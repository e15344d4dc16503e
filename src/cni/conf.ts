import * as v from 'valibot'
import type { Attachment } from '../attachment/attachment'
import { CniError, ErrorCode, quote, shorten } from './error'
import { commonEntries, isJsonObject, type JsonObject, parseBySchema } from './schema'

/** The part of a network configuration that is the same for every plugin. */
export type NetConf = v.InferOutput<typeof netConf>

const netConf = v.object(commonEntries)

/** SPEC.md, section 1: what a network's name and a container's ID look like. Both become file names. */
export const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/

/** The longest configuration read, in bytes: far above any real one, far below what would hurt the node. */
export const maxConfBytes = 16 * 1024 * 1024

/** Reads standard input as one JSON object; throws code 6 if it is anything else. */
export const parseJsonObject = (text: string): JsonObject => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new CniError(ErrorCode.decodingFailure, 'the network configuration on stdin is not JSON', {
      details: error instanceof Error ? error.message : '',
    })
  }
  if (isJsonObject(value)) return value
  throw new CniError(ErrorCode.decodingFailure, 'the network configuration on stdin is not a JSON object')
}

/** Checks what is common to all plugins; throws code 6 for a broken version, code 7 for a broken name. */
export const parseNetConf = (raw: JsonObject): NetConf => {
  const version = Object.entries(raw).find(([key]) => key.toLowerCase() === 'cniversion')?.[1]
  if (version !== undefined && version !== null && typeof version !== 'string') {
    throw new CniError(ErrorCode.decodingFailure, `cniVersion is not a string: ${quote(version)}`)
  }
  const name = Object.entries(raw).find(([key]) => key.toLowerCase() === 'name')?.[1]
  if (name === undefined || name === null || name === '') {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'missing network name')
  }
  const conf = parseBySchema(netConf, raw, 'network configuration')
  if (!validName.test(conf.name)) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'invalid characters found in network name', {
      details: shorten(conf.name),
    })
  }
  return conf
}

/**
 * The attachments a GC must keep, under either key that runtimes send. An absent key would mean "keep nothing", and
 * a runtime that forgot it would lose every pod's network, so it throws code 7; an empty list is taken at its word.
 */
export const validAttachments = (conf: NetConf): Attachment[] => {
  const listed = conf['cni.dev/valid-attachments'] ?? conf['cni.dev/attachments']
  if (!listed) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      'GC needs the key "cni.dev/valid-attachments"; without it every attachment would count as stale',
    )
  }
  return listed.map(({ containerID, ifname }) => ({ network: conf.name, containerID, ifName: ifname }))
}
