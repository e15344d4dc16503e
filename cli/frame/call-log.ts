/** The log of the plugins' calls: the log of CNI_LOG_FILE or "logFile", and the old one beside it. */
import { resolve } from 'node:path'
import * as v from 'valibot'
import type { CliIo } from '../../node/command/io'
import type { Places } from '../../node/command/places'
import { readNetworks } from '../../node/survey/networks'
import { maxLogBytes, oldLogOf } from '../../src/host/log'
import { readPlainFile } from '../../src/host/plain-file'

const entrySchema = () =>
  v.object({
    time: v.string(),
    plugin: v.string(),
    command: v.string(),
    network: v.optional(v.string(), ''),
    containerID: v.optional(v.string(), ''),
    /** "namespace/name"; older versions wrote none. */
    pod: v.optional(v.string()),
    ifName: v.optional(v.string(), ''),
    ms: v.number(),
    /** Only with "logLevel": "debug". */
    steps: v.optional(v.array(v.object({ name: v.string(), ms: v.number() }))),
    /** The CNI specification's code, of a call that failed. */
    code: v.optional(v.number()),
    error: v.optional(v.string()),
    details: v.optional(v.string()),
  })

/** One call of one plugin. */
export type LogEntry = v.InferOutput<ReturnType<typeof entrySchema>>

const parseEntry = (line: string): LogEntry | undefined => {
  try {
    const answer = v.safeParse(entrySchema(), JSON.parse(line))
    return answer.success ? answer.output : undefined
  } catch {
    return undefined // cut off by a full disk, or another program's line
  }
}

/** A log that was not turned over for some time, or that others write to as well. */
const maxReadBytes = 8 * maxLogBytes

const linesOf = (file: string): string[] =>
  readPlainFile(file, { maxBytes: maxReadBytes, followLinks: true })?.split('\n') ?? []

/**
 * The calls in a log, oldest first. With `containing`, only lines that have this text are looked at. Lines that are
 * none of ours are skipped; no file has no calls. Throws what node:fs throws otherwise.
 */
export const readLog = (file: string, containing = ''): LogEntry[] =>
  [...linesOf(oldLogOf(file)), ...linesOf(file)]
    .filter(line => line !== '' && line.includes(containing))
    .flatMap(line => parseEntry(line) ?? [])

/** The logs there are: those named, that of the environment, those of the networks. */
export const logFiles = (named: readonly string[], places: Places, { env, cwd }: CliIo): string[] => {
  if (named.length > 0) return named.map(file => resolve(cwd, file))
  if (env.CNI_LOG_FILE) return [resolve(cwd, env.CNI_LOG_FILE)]
  const configured = readNetworks(places.confDir).networks.flatMap(({ logFile }) => logFile ?? [])
  return [...new Set(configured)]
}
