import type { CliIo } from './io'

/** How text is shown: in colours and cut to a width on a terminal, plain elsewhere. */
export type Style = {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  /** The characters a line may have; infinite where nobody reads in lines. */
  readonly width: number
}

// ECMA-48, "select graphic rendition": the code that starts it and the one that ends it.
const rendition = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const

const plain = (text: string): string => text

const coloured =
  ([start, end]: readonly [number, number]) =>
  (text: string): string =>
    text === '' ? text : `\u001b[${start}m${text}\u001b[${end}m`

/** The style of an output: no-color.org, and a terminal that calls itself dumb. */
export const styleOf = ({
  isTerminal,
  columns,
  env,
}: Pick<CliIo, 'isTerminal' | 'columns' | 'env'>): Style => {
  const hasColours = isTerminal && !env.NO_COLOR && env.TERM !== 'dumb'
  const paint = (name: keyof typeof rendition) => (hasColours ? coloured(rendition[name]) : plain)
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    width: isTerminal ? columns : Number.POSITIVE_INFINITY,
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what begins a rendition is a control character
const renditions = /\u001b\[\d+m/g

/** The characters of a text that are seen. */
export const visibleLength = (text: string): number => text.replace(renditions, '').length

/** Words in lines of at most `width` characters; a longer word has a line of its own. */
export const wrap = (text: string, width: number): string => {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && visibleLength(`${last} ${word}`) <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.join('\n')
}
