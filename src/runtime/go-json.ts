import { isJsonObject } from '../cni/schema'

/** Compares as Go sorts strings: by their bytes in UTF-8. */
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Escapes what Go escapes so that JSON may stand in HTML; outside of strings there is none of it. */
const escapeHtml = (json: string): string =>
  json.replace(
    /[<>&\u2028\u2029]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** JSON as Go's encoding/json writes it: the keys of objects sorted at every depth, `<`, `>` and `&` escaped. */
export const formatGoJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(formatGoJson).join(',')}]`
  if (!isJsonObject(value)) return escapeHtml(JSON.stringify(value ?? null))
  const keys = Object.keys(value).sort(byBytes)
  return formatGoStruct(keys.map(key => [key, value[key]]))
}

/** The same for a struct, whose keys keep the order given; what is undefined is left out. */
export const formatGoStruct = (fields: readonly (readonly [key: string, value: unknown])[]): string => {
  const present = fields.filter(([, value]) => value !== undefined)
  return `{${present.map(([key, value]) => `${formatGoJson(key)}:${formatGoJson(value)}`).join(',')}}`
}
