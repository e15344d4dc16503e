/**
 * Configurations are checked against a valibot schema, once, where they come in; build.mjs makes the JSON Schemas
 * for editors from the same objects. They are made where modules are evaluated, which a standalone plugin has behind it
 * when it is called. valibot because it costs under 0.3 ms to start; zod/mini costs 5 ms.
 */
import * as v from 'valibot'
import { type Addr, parseAddr } from '../ip/addr'
import { type Cidr, parseCidr } from '../ip/cidr'
import { parseMac } from '../ip/mac'
import { CniError, ErrorCode, quote, shorten } from './error'

export type JsonObject = { readonly [key: string]: unknown }

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

type AnySchema = v.GenericSchema

const ours = new WeakSet<AnySchema>()

/**
 * A key the reference does not know. Configurations for the reference may contain anything there, and a typo must not
 * keep a container from being deleted: DEL and GC read one that does not fit as if it were not there.
 */
export const extension = <S extends AnySchema>(schema: S): S => {
  ours.add(schema)
  return schema
}

const entriesOf = (schema: AnySchema): Record<string, AnySchema> | undefined =>
  'entries' in schema ? (schema.entries as Record<string, AnySchema>) : undefined

const partOf = (schema: AnySchema, part: 'item' | 'wrapped' | 'value'): AnySchema | undefined =>
  part in schema ? ((schema as unknown as Record<string, unknown>)[part] as AnySchema) : undefined

/**
 * Renames the keys a schema knows to its own spelling, as Go's decoder matches them: the exact key first, then any
 * case. containerd writes "HostPort", others "bandWidth". A key with null or "" counts as absent.
 */
export const foldKeys = (schema: AnySchema, value: unknown): unknown => {
  const wrapped = partOf(schema, 'wrapped')
  if (wrapped) return foldKeys(wrapped, value)
  const item = partOf(schema, 'item')
  if (item) return Array.isArray(value) ? value.map(element => foldKeys(item, element)) : value
  const entries = entriesOf(schema)
  // valibot takes a list for an object; in the form of text it is refused, and shown, like anything else wrong.
  if (entries && Array.isArray(value)) return quote(value)
  if (!entries || !isJsonObject(value)) return value

  let spelling: Map<string, string> | undefined
  const spelt = (key: string): string | undefined => {
    spelling ??= new Map(Object.keys(entries).map(known => [known.toLowerCase(), known]))
    return spelling.get(key.toLowerCase())
  }
  const folded = new Map<string, unknown>()
  for (const [key, found] of Object.entries(value)) {
    const known = Object.hasOwn(entries, key) ? key : spelt(key)
    if (known === undefined || found === null || found === '') continue
    if (known !== key && Object.hasOwn(value, known)) continue
    folded.set(known, foldKeys(entries[known] ?? v.unknown(), found))
  }
  return Object.fromEntries(folded)
}

/** The object without those keys of ours that do not fit. */
const withoutMisfits = (schema: AnySchema, value: unknown): unknown => {
  const wrapped = partOf(schema, 'wrapped')
  if (wrapped && !ours.has(schema)) return withoutMisfits(wrapped, value)
  const entries = entriesOf(schema)
  if (!entries || !isJsonObject(value)) return value
  const kept: [string, unknown][] = []
  for (const [key, found] of Object.entries(value)) {
    const entry = entries[key]
    if (entry && ours.has(entry) && !v.safeParse(entry, found).success) continue
    kept.push([key, entry ? withoutMisfits(entry, found) : found])
  }
  return Object.fromEntries(kept)
}

/** Reads `value` by `schema`; throws code 7 naming the key if it does not fit. `what` is whose configuration it is. With `forgiving` keys of ours that do not fit are skipped. */
export const parseBySchema = <S extends AnySchema>(
  schema: S,
  value: unknown,
  what: string,
  { forgiving = false }: { forgiving?: boolean } = {},
): v.InferOutput<S> => {
  const folded = foldKeys(schema, value)
  const read = forgiving ? withoutMisfits(schema, folded) : folded
  const answer = v.safeParse(schema, read, { abortEarly: true })
  if (answer.success) return answer.output
  const [issue] = answer.issues
  const path = v.getDotPath(issue)
  const said = shorten(issue.message, 1000)
    .replace(/^Invalid (type|value): /, '')
    .replace(/^Expected/, 'expected')
  throw new CniError(ErrorCode.invalidNetworkConfig, `${what}: ${path ? `"${path}": ` : ''}${said}`)
}

const parsedText = <T>(parse: (text: string) => T | undefined, name: string) =>
  v.pipe(
    v.string(),
    v.title(name),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(dataset.value)
      if (parsed !== undefined) return parsed
      addIssue({ message: `expected ${name} but received ${quote(dataset.value)}` })
      return NEVER
    }),
  )

/** An IP address, such as "10.1.2.3" or "fd00::3". */
export const addr = parsedText<Addr>(parseAddr, 'an IP address')

/** An address with its prefix length, such as "10.1.2.3/24". */
export const cidr = parsedText<Cidr>(parseCidr, 'an address with a prefix length')

/** An Ethernet address in canonical form. */
export const mac = parsedText<string>(parseMac, 'a MAC address')

/** A whole number from `least` to `most`. */
export const integer = (least: number, most: number) =>
  v.pipe(
    v.number(),
    v.metadata({ type: 'integer', minimum: least, maximum: most }),
    v.check(
      value => Number.isInteger(value) && value >= least && value <= most,
      issue => `expected a whole number from ${least} to ${most} but received ${quote(issue.input)}`,
    ),
  )

/** The `dns` object of configurations and results: SPEC.md, "Success". */
export const dns = v.object({
  nameservers: v.optional(v.array(v.string())),
  domain: v.optional(v.string()),
  search: v.optional(v.array(v.string())),
  options: v.optional(v.array(v.string())),
})

const uint32 = integer(0, 0xffffffff)

/** One route of a configuration or result; `mtu`, `advmss`, `priority`, `table` and `scope` came with 1.1.0. */
export const route = v.object({
  dst: cidr,
  gw: v.optional(addr),
  mtu: v.optional(uint32),
  advmss: v.optional(uint32),
  priority: v.optional(uint32),
  table: v.optional(uint32),
  scope: v.optional(integer(0, 255)),
})

const attachment = v.object({ containerID: v.string(), ifname: v.string() })

/** Keys that a runtime may put into every plugin's configuration; each plugin's schema has these and its own. */
export const commonEntries = {
  cniVersion: v.optional(v.string(), '0.1.0'),
  name: v.string(),
  type: v.optional(v.string()),
  capabilities: v.optional(v.record(v.string(), v.boolean())),
  dns: v.optional(dns),
  prevResult: v.optional(v.unknown()),
  'cni.dev/valid-attachments': v.optional(v.array(attachment)),
  'cni.dev/attachments': v.optional(v.array(attachment)),
  // Other plugins have keys of these names, with values of their own.
  logFile: v.fallback(v.optional(v.string()), undefined),
  logLevel: v.fallback(v.optional(v.picklist(['error', 'info', 'debug'])), undefined),
}
