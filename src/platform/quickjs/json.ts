/** QuickJS says where JSON goes wrong on the error's stack only; whoever wrote it needs it in the message. */
const { parse } = JSON

JSON.parse = (text: string, reviver?: (key: string, value: unknown) => unknown): unknown => {
  try {
    return parse(text, reviver)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const [, line, column] = /<input>:(\d+):(\d+)/.exec(error.stack ?? '') ?? []
    const place = line === undefined ? '' : ` in line ${line}, column ${column}`
    throw new SyntaxError(`JSON parse error: ${error.message}${place}`, { cause: error })
  }
}
