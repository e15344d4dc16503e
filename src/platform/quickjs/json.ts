/**
 * JSON.parse as Node.js has it: strict, and with the place where JSON goes wrong in the message. QuickJS says that on the
 * error's stack only, and takes some of JavaScript for JSON, which whoever wrote the text did not mean, or not alike.
 */
import { leniency } from './kernel'

const { parse } = JSON

const wrong = (what: string, line: number | string, column: number | string, cause?: unknown): SyntaxError =>
  new SyntaxError(`JSON parse error: ${what} in line ${line}, column ${column}`, { cause })

JSON.parse = (text: string, reviver?: (key: string, value: unknown) => unknown): unknown => {
  let value: unknown
  try {
    value = parse(text, reviver)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const [, line = 1, column = 1] = /<input>:(\d+):(\d+)/.exec(error.stack ?? '') ?? []
    throw wrong(error.message, line, column, error)
  }
  const index = leniency(text)
  if (index < 0) return value
  const before = text.slice(0, index).split('\n')
  const what = text[index] === '.' || text[index] === '-' ? 'no number of JSON' : 'no escape of JSON'
  throw wrong(what, before.length, (before.at(-1) ?? '').length + 1)
}
