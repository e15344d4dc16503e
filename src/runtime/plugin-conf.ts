import * as v from 'valibot'
import { CniError, ErrorCode } from '../cni/error'
import { isJsonObject, type JsonObject, parseBySchema } from '../cni/schema'

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
export const parsePluginConf = (value: unknown, where: string): PluginConf => {
  const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, `${where}: ${message}`)
  if (!isJsonObject(value)) throw invalid('a plugin is a JSON object')
  const { type, capabilities } = parseBySchema(schema(), value, where)
  if (!type) throw invalid('missing "type"')
  if (type.includes('/')) throw invalid(`invalid plugin name: ${type}`)
  const declared = Object.entries(capabilities).filter(([, supported]) => supported)
  return { type, capabilities: declared.map(([capability]) => capability), raw: value }
}
