/** The keys of the plugins' configurations, from the schemas that editors use. */
import { type PluginName, schemas } from '../../../plugins/schemas'
import { isJsonObject, type JsonObject } from '../../../src/cni/schema'

/** One key of a plugin's configuration. */
export type Key = {
  readonly plugin: PluginName
  /** "isGateway", "ipam.ranges[][].subnet". */
  readonly path: string
  readonly type: string
  readonly default: string
  readonly unit: string
  readonly about: string
  /** The key with a value, as a configuration has it. */
  readonly example: string
}

/** The schemas of an object's keys; undefined where it may have any. */
export const propertiesOf = (schema: unknown): JsonObject | undefined =>
  isJsonObject(schema) && isJsonObject(schema.properties) ? schema.properties : undefined

/** The schema of a list's elements. */
export const itemsOf = (schema: unknown): unknown => (isJsonObject(schema) ? schema.items : undefined)

/** A plugin's schema. That of bridge has host-local's `ipam`, which bridge passes on. */
export const schemaOf = (plugin: PluginName): JsonObject => {
  const all = schemas()
  const schema = all[plugin]
  if (plugin !== 'bridge') return schema
  return { ...schema, properties: { ...propertiesOf(schema), ipam: propertiesOf(all['host-local'])?.ipam } }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const typeOf = (schema: unknown): string => {
  if (!isJsonObject(schema)) return 'any'
  const { type, minimum, maximum, enum: values, const: only, anyOf, title } = schema
  if (Array.isArray(values)) return values.map(value => JSON.stringify(value)).join(', ')
  if (only !== undefined) return JSON.stringify(only)
  if (Array.isArray(anyOf)) return anyOf.map(typeOf).join(', or ')
  if (type === 'array') return `list of ${typeOf(itemsOf(schema))}`
  if (typeof minimum === 'number' && typeof maximum === 'number')
    return `whole number from ${minimum} to ${maximum > Number.MAX_SAFE_INTEGER ? '2^64-1' : maximum}`
  return textOf(title) || { string: 'text', boolean: 'true or false' }[textOf(type)] || textOf(type) || 'any'
}

/** Descriptions tell the default: "…; default 1500", "…; default: iptables where …", "…; 0 or absent: no limit". */
const defaultOf = (schema: JsonObject): string => {
  const [, told] = /; (?:default:?|0 or absent:) ([^;]*)/.exec(textOf(schema.description)) ?? []
  if (told !== undefined) return told
  if (schema.default !== undefined) return JSON.stringify(schema.default)
  return schema.type === 'boolean' ? 'false' : ''
}

const units: readonly (readonly [RegExp, string])[] = [
  [/^Bits a second/, 'bits a second'],
  [/^Bits/, 'bits'],
  [/^Bytes/, 'bytes'],
  [/^Seconds/, 'seconds'],
  [/^MTU/, 'bytes'],
]

const unitOf = (schema: JsonObject): string =>
  units.find(([begin]) => begin.test(textOf(schema.description)))?.[1] ?? ''

/** Values for examples, where the type does not tell a good one. */
const samples: { readonly [key: string]: unknown } = {
  bridge: 'cbr0',
  dataDir: '/var/lib/cni/networks',
  resolvConf: '/etc/resolv.conf',
  logFile: '/var/log/kubenet.log',
  vethPrefix: 'veth',
  probe: 'cbr0',
  type: 'bridge',
  backend: 'nftables',
  ipMasqBackend: 'nftables',
  subnet: '10.244.1.0/24',
  podCIDR: '10.244.1.0/24',
  dst: '0.0.0.0/0',
  gw: '10.244.1.1',
  mac: '0a:58:0a:f4:01:05',
  mtu: 1450,
  vlan: 100,
  ingressRate: 10_000_000,
  egressRate: 10_000_000,
  ingressBurst: 1_000_000,
  egressBurst: 1_000_000,
  cooldownSeconds: 60,
  exclude: ['10.244.1.250-10.244.1.254'],
  staticRanges: ['10.244.1.200/29'],
  uplinks: ['eth1'],
  hostPort: 8080,
  containerPort: 80,
  protocol: 'tcp',
  conditionsV4: ['-s', '192.0.2.0/24'],
  conditionsV6: ['-s', '2001:db8::/32'],
  capabilities: { portMappings: true },
}

const titled: { readonly [title: string]: unknown } = {
  'an IP address': '10.244.1.10',
  'an address with a prefix length': '10.244.1.0/24',
  'a MAC address': '0a:58:0a:f4:01:05',
}

const valueFor = (key: string, schema: unknown): unknown => {
  if (samples[key] !== undefined) return samples[key]
  if (!isJsonObject(schema)) return {}
  const { type, enum: values, anyOf, title, minimum } = schema
  if (Array.isArray(values)) return values[0]
  if (Array.isArray(anyOf)) return valueFor(key, anyOf[0])
  const properties = propertiesOf(schema)
  if (properties)
    return Object.fromEntries(
      Object.entries(properties)
        .slice(0, 2)
        .map(([name, inner]) => [name, valueFor(name, inner)]),
    )
  if (type === 'array') return [valueFor('', itemsOf(schema))]
  if (type === 'boolean') return true
  if (type === 'integer' || type === 'number') return minimum ?? 0
  return titled[textOf(title)] ?? '…'
}

const walk = (plugin: PluginName, schema: unknown, path: string): Key[] => {
  const items = itemsOf(schema)
  if (items !== undefined) return walk(plugin, items, `${path}[]`)
  return Object.entries(propertiesOf(schema) ?? {}).flatMap(([name, inner]) => {
    const here = path === '' ? name : `${path}.${name}`
    const known = isJsonObject(inner) ? inner : {}
    const key: Key = {
      plugin,
      path: here,
      type: propertiesOf(inner) ? 'object' : typeOf(inner),
      default: defaultOf(known),
      unit: unitOf(known),
      about: textOf(known.description),
      example: `"${name}": ${JSON.stringify(valueFor(name, inner))}`,
    }
    return [key, ...walk(plugin, inner, here)]
  })
}

/** Keys that a runtime writes, not a person. */
const ofRuntime = ['prevResult', 'cni.dev/valid-attachments', 'cni.dev/attachments']

/** Every key of a plugin that a person writes. */
export const keysOf = (plugin: PluginName): Key[] =>
  walk(plugin, schemaOf(plugin), '').filter(({ path }) => !ofRuntime.some(key => path.startsWith(key)))
