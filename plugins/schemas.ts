/**
 * The JSON Schemas of the plugins' configurations, and of a whole network, a .conflist file: editors check each plugin of
 * the list by its `type`. Runtimes pass what they do not know, so a list may have keys beside these.
 */

import { type ConversionConfig, toJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { commonEntries, isJsonObject, type JsonObject } from '../src/cni/schema'
import { specVersions } from '../src/cni/version'
import { bandwidthSchema } from './bandwidth/config'
import { bridgeSchema } from './bridge/config'
import { hostLocalSchema } from './host-local/config'
import { kubenetSchema } from './kubenet/config'
import { portmapSchema } from './portmap/config'

/** SchemaStore publishes schemas at addresses of this form. */
const address = 'https://json.schemastore.org/kubenet-cni-conflist.json'

/** A network's name, as libcni accepts it: pkg/utils, `validNameRegex`. */
const networkName = '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$'

/** Keys that a runtime adds to each plugin's configuration. In a file they would be overwritten. */
const addedByRuntime = [
  'cniVersion',
  'name',
  'prevResult',
  'cni.dev/valid-attachments',
  'cni.dev/attachments',
]

const propertiesOf = (schema: JsonObject): JsonObject =>
  isJsonObject(schema.properties) ? schema.properties : {}

/** A plugin's schema as that of an element of a list: without the keys of the runtime, `name` among them. */
const elementOf = ({ title, description, ...schema }: JsonObject): JsonObject => ({
  title,
  description,
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(propertiesOf(schema)).filter(([key]) => !addedByRuntime.includes(key)),
  ),
})

/** `then` holds for an object whose `type` is the one given. */
const whereTypeIs = (type: string, then: JsonObject): JsonObject => ({
  if: { properties: { type: { const: type } }, required: ['type'] },
  then,
})

const refTo = (name: string): JsonObject => ({ $ref: `#/definitions/${name}` })

/** One range of host-local; the plugin cannot do without its subnet. */
const range = (entries: JsonObject): JsonObject => ({
  type: 'object',
  properties: Object.fromEntries(
    ['subnet', 'rangeStart', 'rangeEnd', 'gateway'].map(key => [key, entries[key]]),
  ),
  required: ['subnet'],
})

const hostLocalIpam = (hostLocal: JsonObject): JsonObject => {
  const ipam = propertiesOf(hostLocal).ipam
  const entries = isJsonObject(ipam) ? propertiesOf(ipam) : {}
  const sets = { type: 'array', minItems: 1, items: refTo('range') }
  return {
    title: 'Addresses from host-local',
    type: 'object',
    properties: {
      ...entries,
      ranges: { ...(isJsonObject(entries.ranges) ? entries.ranges : {}), items: sets },
    },
  }
}

/** The schema of a list, from the plugins' schemas by plugin. */
export const conflistSchema = (plugins: { readonly [plugin: string]: JsonObject }): JsonObject => {
  const { 'host-local': hostLocal = {}, bridge = {}, ...others } = plugins
  const ipam = hostLocalIpam(hostLocal)
  const delegated = {
    type: 'object',
    properties: { type: { type: 'string', minLength: 1 } },
    required: ['type'],
    allOf: [whereTypeIs('host-local', refTo('host-local-ipam'))],
  }
  const bridgeElement = elementOf(bridge)
  const definitions = {
    range: range(propertiesOf(ipam)),
    'host-local-ipam': ipam,
    ipam: delegated,
    bridge: {
      ...bridgeElement,
      properties: {
        ...propertiesOf(bridgeElement),
        ipam: { anyOf: [{ type: 'object', maxProperties: 0 }, refTo('ipam')] },
      },
    },
    ...Object.fromEntries(Object.entries(others).map(([name, schema]) => [name, elementOf(schema)])),
  }
  const element = {
    type: 'object',
    properties: { type: { type: 'string', minLength: 1, description: 'Name of the plugin’s program' } },
    required: ['type'],
    allOf: ['bridge', ...Object.keys(others)].map(name => whereTypeIs(name, refTo(name))),
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: address,
    title: 'A CNI network (.conflist) with the plugins of kubenet-cni',
    type: 'object',
    properties: {
      cniVersion: {
        enum: [...specVersions],
        description: 'Version of the CNI specification the list is written in',
      },
      cniVersions: {
        type: 'array',
        items: { enum: [...specVersions] },
        description: 'Versions a runtime may choose from',
      },
      name: { type: 'string', pattern: networkName, description: 'Name of the network, once per node' },
      disableCheck: { type: 'boolean', description: 'The runtime does not call CHECK' },
      disableGC: { type: 'boolean', description: 'The runtime does not call GC' },
      plugins: {
        type: 'array',
        minItems: 1,
        items: element,
        description: 'The plugins, in the order ADD calls them',
      },
    },
    required: ['cniVersion', 'name', 'plugins'],
    definitions,
  }
}

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

/** The whole of a plugin's configuration: the common keys, which are read once a call (src/cni/conf.ts), and its own. */
const whole = <E extends v.ObjectEntries>({ entries }: { readonly entries: E }) =>
  v.object({ ...commonEntries, ...entries })

/** What each plugin takes. */
export const pluginSchemas = {
  bandwidth: whole(bandwidthSchema),
  bridge: whole(bridgeSchema),
  'host-local': whole(hostLocalSchema),
  kubenet: whole(kubenetSchema),
  loopback: v.object(commonEntries),
  portmap: whole(portmapSchema),
}

export type PluginName = keyof typeof pluginSchemas

export const pluginNames = Object.keys(pluginSchemas) as PluginName[]

/** The JSON Schemas of the plugins' configurations, by plugin: what editors check conflists with. */
export const schemas = (): Readonly<Record<PluginName, JsonObject>> => {
  const described = pluginNames.map(name => [
    name,
    describe(`Configuration of the CNI plugin ${name}`, pluginSchemas[name]),
  ])
  return Object.fromEntries(described)
}

/** All that is written into dist/schema, by file name without its end: the plugins' schemas, and that of a whole list. */
export const schemaFiles = (): { readonly [name: string]: JsonObject } => {
  const plugins = schemas()
  return { ...plugins, conflist: conflistSchema(plugins) }
}
