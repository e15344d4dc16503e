/** Networks and their plugins, as configuration files have them. */
import * as v from 'valibot'
import { validName } from '../cni/conf'
import { CniError, ErrorCode } from '../cni/error'
import { isJsonObject, type JsonObject, parseBySchema } from '../cni/schema'
import { type SpecVersion, specVersions } from '../cni/version'
import { findJsonError, formatGoStruct } from './json'

/** One plugin of a network, as its configuration has it. */
export type PluginConf = {
  /** The name of the plugin's executable. */
  readonly type: string
  /** The capabilities it declares, in the order of the configuration. */
  readonly capabilities: readonly string[]
  /** Its object as the user wrote it. */
  readonly raw: JsonObject
}

const schema = () =>
  v.object({
    type: v.optional(v.string(), ''),
    capabilities: v.optional(v.record(v.string(), v.boolean()), {}),
  })

/** Reads one plugin's object; throws code 7 if it is none. `where` is the file, and the place in it. */
const parsePluginConf = (value: unknown, where: string): PluginConf => {
  const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, `${where}: ${message}`)
  if (!isJsonObject(value)) throw invalid('a plugin is a JSON object')
  const { type, capabilities } = parseBySchema(schema(), value, where)
  if (!type) throw invalid('missing "type"')
  if (type.includes('/')) throw invalid(`invalid plugin name: ${type}`)
  const declared = Object.entries(capabilities).filter(([, supported]) => supported)
  return { type, capabilities: declared.map(([capability]) => capability), raw: value }
}

/** "1.1.0" and whatever a later specification may be called. */
const versionForm = /^\d+(\.\d+){0,2}$/

/**
 * The versions a network's `cniVersion` and `cniVersions` allow, those of the future left out, oldest first: the last
 * is the one to use. SPEC.md, "Version considerations". Throws code 1 if none is known, code 7 for what is no version.
 */
export const confVersions = (raw: JsonObject, where: string): [SpecVersion, ...SpecVersion[]] => {
  const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, `${where}: ${message}`)
  const { cniVersion = '', cniVersions = [] } = raw
  if (typeof cniVersion !== 'string') {
    throw invalid(`cniVersion is not a string: ${JSON.stringify(cniVersion)}`)
  }
  if (!Array.isArray(cniVersions)) {
    throw invalid(`cniVersions is not a list: ${JSON.stringify(cniVersions)}`)
  }
  const listed: unknown[] = cniVersion ? [...cniVersions, cniVersion] : cniVersions
  for (const version of listed) {
    if (typeof version !== 'string' || !versionForm.test(version)) {
      throw invalid(`not a CNI version: ${JSON.stringify(version)}`)
    }
  }
  // A configuration without either key is from before there was one.
  const asked = listed.length > 0 ? listed : ['0.1.0']
  const [oldest, ...newer] = specVersions.filter(version => asked.includes(version))
  if (oldest) return [oldest, ...newer]
  throw new CniError(
    ErrorCode.incompatibleVersion,
    `${where}: unknown CNI version ${asked.map(version => JSON.stringify(version)).join(', ')}`,
    { details: `the versions known are ${specVersions.join(', ')}` },
  )
}

/** One network: SPEC.md, section 1, "Configuration format". */
export type NetworkConfigList = {
  readonly name: string
  /** The version its plugins are called with: the highest of `cniVersions`. */
  readonly cniVersion: SpecVersion
  /** All versions it allows and this runtime knows, oldest first. */
  readonly cniVersions: readonly SpecVersion[]
  readonly disableCheck: boolean
  readonly disableGC: boolean
  readonly loadOnlyInlinedPlugins: boolean
  readonly plugins: readonly PluginConf[]
  /** The file it is from, for messages. */
  readonly file: string
  /** Its text, as the result cache keeps it. */
  readonly text: string
}

/** Reads a JSON object; throws code 6 with file, line and column for anything else. */
const parseJsonFile = (text: string, file: string): JsonObject => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const found = findJsonError(text)
    const place = found ? `${file}:${found.line}:${found.column}: ${found.message}` : `${file}: not JSON`
    throw new CniError(ErrorCode.decodingFailure, place, { details: '', cause })
  }
  if (isJsonObject(value)) return value
  throw new CniError(ErrorCode.decodingFailure, `${file}:1:1: a network configuration is a JSON object`)
}

const invalid = (file: string, message: string) =>
  new CniError(ErrorCode.invalidNetworkConfig, `${file}: ${message}`)

const readName = (raw: JsonObject, file: string): string => {
  const { name } = raw
  if (name === undefined || name === null || name === '') throw invalid(file, 'missing network name')
  if (typeof name !== 'string') throw invalid(file, `name is not a string: ${JSON.stringify(name)}`)
  if (validName.test(name)) return name
  throw invalid(file, `invalid characters found in network name: ${JSON.stringify(name)}`)
}

/** A flag of the list. As with libcni, "true" and "false" may also be strings, in any case. */
const readFlag = (raw: JsonObject, key: string, file: string): boolean => {
  const value = raw[key] ?? false
  if (typeof value === 'boolean') return value
  const text = typeof value === 'string' ? value.toLowerCase() : ''
  if (text === 'true' || text === 'false') return text === 'true'
  throw invalid(file, `${key} is neither true nor false: ${JSON.stringify(value)}`)
}

const readPlugins = (raw: JsonObject, file: string): PluginConf[] => {
  const { plugins } = raw
  if (plugins === undefined) return []
  if (!Array.isArray(plugins)) throw invalid(file, `plugins is not a list: ${JSON.stringify(plugins)}`)
  if (plugins.length === 0) throw invalid(file, 'no plugins in list')
  return plugins.map((plugin, index) => parsePluginConf(plugin, `${file}: plugins[${index}]`))
}

/**
 * Reads the text of a `.conflist`. Without the key `plugins` it has none yet: they may be in files of their own.
 * Throws code 6 for what is not JSON, 1 for versions unknown, 7 for the rest; every message begins with `file`.
 */
export const parseConfList = (text: string, file: string): NetworkConfigList => {
  const raw = parseJsonFile(text, file)
  const cniVersions = confVersions(raw, file)
  const loadOnlyInlinedPlugins = readFlag(raw, 'loadOnlyInlinedPlugins', file)
  if (loadOnlyInlinedPlugins && raw.plugins === undefined) {
    throw invalid(file, 'loadOnlyInlinedPlugins is true, and there is no key "plugins"')
  }
  return {
    name: readName(raw, file),
    cniVersion: cniVersions.at(-1) ?? cniVersions[0],
    cniVersions,
    disableCheck: readFlag(raw, 'disableCheck', file),
    disableGC: readFlag(raw, 'disableGC', file),
    loadOnlyInlinedPlugins,
    plugins: readPlugins(raw, file),
    file,
    text,
  }
}

/** Reads the text of a file that has one plugin and nothing else. */
export const parsePluginFile = (text: string, file: string): PluginConf =>
  parsePluginConf(parseJsonFile(text, file), file)

/**
 * Reads the text of a `.conf` or `.json`, the form before there were lists: a list of that one plugin. Its text in
 * the cache is the list libcni makes of it. Throws as `parseConfList` does.
 */
export const parseSingleConf = (text: string, file: string): NetworkConfigList => {
  const raw = parseJsonFile(text, file)
  if (raw.type === undefined && raw.plugins !== undefined) {
    throw invalid(file, 'a list of plugins is only read from a file called .conflist')
  }
  const { cniVersion = '' } = raw
  const cniVersions = confVersions({ cniVersion }, file)
  const name = readName(raw, file)
  return {
    name,
    cniVersion: cniVersions.at(-1) ?? cniVersions[0],
    cniVersions,
    disableCheck: false,
    disableGC: false,
    loadOnlyInlinedPlugins: true,
    plugins: [parsePluginConf(raw, file)],
    file,
    text: formatGoStruct([
      ['cniVersion', cniVersion],
      ['name', name],
      ['plugins', [raw]],
    ]),
  }
}
