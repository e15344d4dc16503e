import { type Style, styledLine, visibleLength, wrap } from '../../node/command/style'

/** One column of a table. */
export type Column = { readonly title: string; readonly align?: 'left' | 'right' }

const gap = '  '

const pad = (text: string, width: number, align: Column['align']): string => {
  const blanks = ' '.repeat(Math.max(0, width - visibleLength(text)))
  return align === 'right' ? blanks + text : text + blanks
}

/** Narrower than this, the last column is not wrapped: it would be unreadable. */
const leastWidth = 24

/**
 * Lines of aligned columns under their titles. The text of the last column goes on in further lines where the
 * terminal ends; nothing is wrapped where the output is not a terminal.
 */
export const formatTable = (
  columns: readonly Column[],
  texts: readonly (readonly string[])[],
  style: Style,
): string => {
  const rows = texts.map(cells => cells.map(styledLine))
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map(row => visibleLength(row[i] ?? ''))),
  )
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + gap.length, 0)
  const room = style.width - before < leastWidth ? Number.POSITIVE_INFINITY : style.width - before
  const line = (cells: readonly string[]): string => {
    const padded = columns.slice(0, -1).map(({ align }, i) => pad(cells[i] ?? '', widths[i] ?? 0, align))
    const last = cells[columns.length - 1] ?? ''
    if (columns.at(-1)?.align === 'right')
      return [...padded, pad(last, widths.at(-1) ?? 0, 'right')].join(gap)
    const [first = '', ...more] = wrap(last, room).split('\n')
    return [[...padded, first].join(gap).trimEnd(), ...more.map(text => ' '.repeat(before) + text)].join('\n')
  }
  const titles = line(columns.map(({ title }) => title))
  return [style.bold(titles), ...rows.map(line)].map(text => `${text}\n`).join('')
}
