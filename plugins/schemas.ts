import { type ConversionConfig, toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { commonEntries, type JsonObject } from '../src/cni/schema'
import { bandwidthSchema } from './bandwidth/config'
import { bridgeSchema } from './bridge/config'
import { conflistSchema } from './conflist-schema'
import { hostLocalSchema } from './host-local/config'
import { kubenetSchema } from './kubenet/config'
import { portmapSchema } from './portmap/config'

const ipv4 = '(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])([.](25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}'
const ipv6 = '[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.]*'

/** The JSON Schema of texts that are parsed; the parsers are stricter. By the titles of src/cni/schema.ts. */
const patterns: { readonly [title: string]: string } = {
  'an IP address': `^(${ipv4}|${ipv6})$`,
  'an address with a prefix length': `^(${ipv4}/(3[0-2]|[12]?[0-9])|${ipv6}/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$`,
  'a MAC address': '^([0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}$|^([0-9A-Fa-f]{4}[.]){2}[0-9A-Fa-f]{4}$',
}

const overrideAction: ConversionConfig['overrideAction'] = ({ valibotAction, jsonSchema }) => {
  const title = valibotAction.type === 'title' && 'title' in valibotAction ? valibotAction.title : undefined
  const pattern = typeof title === 'string' ? patterns[title] : undefined
  return pattern === undefined ? undefined : { ...jsonSchema, pattern }
}

const describe = (title: string, schema: v.GenericSchema): JsonObject => ({
  title,
  // The transformations have no JSON Schema form; what they take is described, not what they make of it.
  ...toJsonSchema(schema, { errorMode: 'ignore', typeMode: 'input', overrideAction }),
})

/** The JSON Schemas of the plugins' configurations, by plugin: what editors check conflists with. */
export const schemas = () => ({
  bandwidth: describe('Configuration of the CNI plugin bandwidth', bandwidthSchema),
  bridge: describe('Configuration of the CNI plugin bridge', bridgeSchema),
  'host-local': describe('Configuration of the CNI plugin host-local', hostLocalSchema),
  kubenet: describe('Configuration of the CNI plugin kubenet', kubenetSchema),
  loopback: describe('Configuration of the CNI plugin loopback', v.object(commonEntries)),
  portmap: describe('Configuration of the CNI plugin portmap', portmapSchema),
})

/** All that is written into dist/schema, by file name without its end: the plugins' schemas, and that of a whole list. */
export const schemaFiles = (): { readonly [name: string]: JsonObject } => {
  const plugins = schemas()
  return { ...plugins, conflist: conflistSchema(plugins) }
}
