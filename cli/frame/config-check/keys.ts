/** The keys of a list, and their values, against the schemas. */
import * as v from 'valibot'
import { type PluginName, pluginNames, pluginSchemas } from '../../../plugins/schemas'
import { foldKeys, isJsonObject, type JsonObject } from '../../../src/cni/schema'
import { itemsOf, propertiesOf, schemaOf } from '../keys/keys'
import { nearest } from '../keys/nearest'
import { fail, type Line, warn } from './line'

/** SPEC.md, section 1, "Configuration format". */
const listKeys = [
  'cniVersion',
  'cniVersions',
  'name',
  'disableCheck',
  'disableGC',
  'loadOnlyInlinedPlugins',
  'plugins',
]

/** Of every plugin of a list, whatever its schema has. */
const pluginKeys = ['type', 'capabilities', 'ipam', 'dns', 'args', 'runtimeConfig', 'ipMasq']

const unknownKey = (path: string, key: string, known: readonly string[]): Line => {
  const near = nearest(key, known)
  return near === undefined
    ? warn(path, 'unknown key: it has no effect')
    : fail(path, `unknown key, did you mean "${near}"?`)
}

/** A comment, as people write one into JSON. */
const isComment = (key: string): boolean => /^(_|\/\/|#)/.test(key)

const unknownKeys = (value: JsonObject, known: readonly string[], path: string): Line[] => {
  const spelt = new Set(known.map(key => key.toLowerCase()))
  return Object.keys(value)
    .filter(key => !spelt.has(key.toLowerCase()) && !isComment(key))
    .map(key => unknownKey(path === '' ? key : `${path}.${key}`, key, known))
}

/** The unknown keys of a value and of all that is in it. */
const strayKeys = (value: unknown, schema: unknown, path: string): Line[] => {
  if (Array.isArray(value))
    return value.flatMap((element, at) => strayKeys(element, itemsOf(schema), `${path}[${at}]`))
  const properties = propertiesOf(schema)
  if (!properties || !isJsonObject(value)) return []
  const inner = Object.entries(value).flatMap(([key, found]) => {
    const name = Object.keys(properties).find(known => known.toLowerCase() === key.toLowerCase())
    return name === undefined ? [] : strayKeys(found, properties[name], `${path}.${key}`)
  })
  return [...unknownKeys(value, Object.keys(properties), path), ...inner]
}

const pathOf = (issue: v.BaseIssue<unknown>): string =>
  (v.getDotPath(issue) ?? '')
    .split('.')
    .map(part => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('')

const wordsOf = (message: string): string =>
  message.replace(/^Invalid (type|value|key): /, '').replace(/^Expected/, 'expected')

/** The values that a plugin would refuse. */
const misfits = (plugin: PluginName, value: JsonObject, path: string): Line[] => {
  const schema: v.GenericSchema = pluginSchemas[plugin]
  const answer = v.safeParse(schema, foldKeys(schema, value))
  return (answer.issues ?? []).map(issue => fail(`${path}${pathOf(issue)}`, wordsOf(issue.message)))
}

const ipamTypeOf = ({ ipam }: JsonObject): unknown => (isJsonObject(ipam) ? ipam.type : undefined)

const linesOfPlugin = (value: JsonObject, name: unknown, path: string): Line[] => {
  const plugin = pluginNames.find(known => known === value.type)
  if (plugin === undefined) return []
  // The runtime adds the network's name.
  const whole = { ...value, name }
  const isLeased = plugin === 'bridge' && ipamTypeOf(value) === 'host-local'
  const properties = { ...propertiesOf(schemaOf(plugin)) }
  // Another IPAM plugin has keys of its own.
  if (plugin === 'bridge' && !isLeased) delete properties.ipam
  const allowed = Object.fromEntries(pluginKeys.map(key => [key, {}]))
  const schema = { properties: { ...allowed, ...properties } }
  return [
    ...strayKeys(value, schema, path),
    ...misfits(plugin, whole, path),
    ...(isLeased ? misfits('host-local', whole, path) : []),
  ]
}

const unique = (lines: readonly Line[]): Line[] => [
  ...new Map(lines.map(line => [`${line.path} ${line.says}`, line])).values(),
]

/** What is wrong with the keys of a list, read as JSON. */
export const linesOfKeys = (list: JsonObject): Line[] => {
  const { plugins, name } = list
  // A file of one plugin has the keys of both.
  if (plugins === undefined && list.type !== undefined)
    return unique(linesOfPlugin(list, name, '')).map(line => ({
      ...line,
      path: line.path.replace(/^\./, ''),
    }))
  const elements = Array.isArray(plugins) ? plugins : []
  return unique([
    ...unknownKeys(list, listKeys, ''),
    ...elements.flatMap((element, at) =>
      isJsonObject(element) ? linesOfPlugin(element, name, `plugins[${at}]`) : [],
    ),
  ])
}
