import { printable, printableLines } from '../../src/host/output'
import type { CliIo } from './io'

/** How text is shown: in colours and cut to a width on a terminal, plain elsewhere. */
export type Style = {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  /** The characters a line may have; infinite if the output is no terminal. */
  readonly width: number
}

// ECMA-48, "select graphic rendition": the code that starts it and the one that ends it.
const rendition = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const

/**
 * The first character of a rendition until it is printed, in the place of ESC: then all that is foreign in a text can
 * be escaped last. No name of an interface, a file or a variable has this character in it.
 */
const mark = '\u0000'

const plain = (text: string): string => text

const coloured =
  ([start, end]: readonly [number, number]) =>
  (text: string): string =>
    text === '' ? text : `${mark}[${start}m${text}${mark}[${end}m`

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
const renditions = /(\u0000\[\d+m)/

/** Puts a styled text together again, what is foreign in it and the renditions between each by a function of its own. */
const convert = (
  text: string,
  words: (part: string) => string,
  rendition: (part: string) => string,
): string =>
  text
    .split(renditions)
    .map((part, i) => (i % 2 === 0 ? words(part) : rendition(part)))
    .join('')

/** The characters of a text that are seen. */
export const visibleLength = (text: string): number =>
  convert(
    text,
    part => part,
    () => '',
  ).length

/** Is a part of it styled already? */
export const isStyled = (text: string): boolean => renditions.test(text)

/** A styled text as one line, which can be measured: what is foreign in it is escaped. */
export const styledLine = (text: string): string => convert(text, printable, part => part)

/** A styled text as a terminal gets it: it is controlled by the renditions and by nothing else. */
export const rendered = (text: string): string =>
  convert(text, printableLines, part => part.replace(mark, '\u001b'))

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
