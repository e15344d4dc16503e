/** JSON as libcni reads and writes it. */
import { isJsonObject } from '../cni/schema'

/*
 * Where a text stops being JSON. The JavaScript runtimes say that in words of their own, one of them without the
 * place, so a text that JSON.parse has refused is read here once more: RFC 8259, as an automaton with a stack.
 */

/** The first mistake of a text that is not JSON: 1-based, columns in UTF-16 units. */
type JsonError = { readonly line: number; readonly column: number; readonly message: string }

type State = 'value' | 'firstElement' | 'firstKey' | 'key' | 'colon' | 'next' | 'end'

const expectations: Record<State, string> = {
  value: 'a value',
  firstElement: 'a value or "]"',
  firstKey: 'a key or "}"',
  key: 'a key',
  colon: '":"',
  next: '"," or the closing bracket',
  end: 'the end of the file',
}

const blank = /[ \t\n\r]*/y
const token =
  /[{}[\],:]|"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)/y

const matchAt = (pattern: RegExp, text: string, at: number): string => {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ''
}

const closing: Record<string, string> = { '{': '}', '[': ']' }

/**
 * The tokens that may follow `found` in `state`; undefined if it may not be there. `open` is what must still be closed.
 */
const step = (state: State, found: string, open: string[]): State | undefined => {
  const close = (): State => {
    open.pop()
    return open.length > 0 ? 'next' : 'end'
  }
  const isString = found.startsWith('"')
  switch (state) {
    case 'end':
      return undefined
    case 'colon':
      return found === ':' ? 'value' : undefined
    case 'key':
      return isString ? 'colon' : undefined
    case 'firstKey':
      if (found === '}') return close()
      return isString ? 'colon' : undefined
    case 'next':
      if (found === ',') return open.at(-1) === '}' ? 'key' : 'value'
      return found !== '' && found === open.at(-1) ? close() : undefined
    case 'firstElement':
      return found === ']' ? close() : step('value', found, open)
    case 'value': {
      const closer = closing[found]
      if (closer) {
        open.push(closer)
        return found === '{' ? 'firstKey' : 'firstElement'
      }
      if (found === '' || ']},:'.includes(found)) return undefined
      return open.length > 0 ? 'next' : 'end'
    }
  }
}

const describe = (text: string, at: number, found: string): string => {
  if (at >= text.length) return 'the end of the file'
  if (!found && text[at] === '"') return 'a string that is not closed or has a character it may not have'
  return JSON.stringify(found || text[at])
}

/** The first mistake of `text`; undefined if it is JSON. */
export const findJsonError = (text: string): JsonError | undefined => {
  const open: string[] = []
  let state: State = 'value'
  for (let at = 0; ; ) {
    at += matchAt(blank, text, at).length
    if (state === 'end' && at === text.length) return undefined
    const found = matchAt(token, text, at)
    const next = step(state, found, open)
    if (!next) {
      const before = text.slice(0, at)
      return {
        line: before.split('\n').length,
        column: at - before.lastIndexOf('\n'),
        message: `expected ${expectations[state]} but found ${describe(text, at, found)}`,
      }
    }
    state = next
    at += found.length
  }
}

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
