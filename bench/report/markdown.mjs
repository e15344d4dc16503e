/** The tables in bench/results.md, each between its markers. */
import { readFileSync, writeFileSync } from 'node:fs'
import { formatMachine } from '../machine.mjs'
import { cellsOf, columnsOf, formatNumber, peersOf } from './format.mjs'
import { countCells } from './table.mjs'

const table = lines => {
  const [head, ...body] = lines.map(cells => `| ${cells.join(' | ')} |`)
  return [head, `|${lines[0].map((_, i) => (i === 0 ? '---' : '--:')).join('|')}|`, ...body].join('\n')
}

/** Rows as one table: the title stands in the first of its lines. */
const rowsTable = rows => {
  const peers = peersOf(rows)
  return table([
    ['case', ...columnsOf(peers)],
    ...rows.flatMap(({ title, sides, unit }) =>
      sides.map((side, i) => [i === 0 ? title : '', ...cellsOf(side, unit, peers)]),
    ),
  ])
}

const curvesTable = curves =>
  curves
    .map(({ title, x, unit, lines }) =>
      table([
        [`${title}, ${unit}; ${x}:`, ...lines[0].points.map(point => String(point.x))],
        ...lines.map(({ name, points }) => [name, ...points.map(({ median }) => formatNumber(median))]),
      ]),
    )
    .join('\n\n')

const withId = (rows, test) => rows.filter(({ id }) => test(id))

const isStart = id => id === 'start' || id === 'cold'
const isRoom = id => id.startsWith('memory') || id === 'size'
const isCommand = id => id.startsWith('commands')
const isStore = id => id.startsWith('host-local')

/** What stands between the markers of each name. */
export const sectionsOf = ({ machine, options, rows, curves, counts, skipped }) =>
  new Map([
    [
      'machine',
      [
        ...formatMachine(machine).map(line => `- ${line}`),
        `- ${machine.date}; ${options.runs} runs a case, leases on ${options.store}`,
        ...skipped.map(({ what, reason }) => `- not measured: ${what}: ${reason}`),
      ].join('\n'),
    ],
    ['cases', rowsTable(withId(rows, id => !isStart(id) && !isRoom(id) && !isStore(id)))],
    ['host-local', rowsTable(withId(rows, isStore))],
    ['start', rowsTable(withId(rows, isStart))],
    ['room', rowsTable(withId(rows, isRoom))],
    ['curves', curvesTable(withId(curves, id => !isCommand(id)))],
    ['commands', curvesTable(withId(curves, isCommand))],
    ['counts', counts.length > 0 ? table(countCells(counts)) : 'not counted'],
  ])

const beginOf = name => `<!-- bench: ${name} -->`
const end = '<!-- /bench -->'

/** Puts `sections` between their markers in a text; throws if a marker has no end. */
export const replaceSections = (text, sections) => {
  let renewed = text
  for (const [name, content] of sections) {
    const begin = beginOf(name)
    const from = renewed.indexOf(begin)
    if (from < 0) continue
    const to = renewed.indexOf(end, from)
    if (to < 0) throw new Error(`marker "${begin}" without "${end}"`)
    renewed = `${renewed.slice(0, from)}${begin}\n${content}\n${renewed.slice(to)}`
  }
  return renewed
}

/** Renews the tables in a file from the results of a run. */
export const renewTables = (file, results) =>
  writeFileSync(file, replaceSections(readFileSync(file, 'utf8'), sectionsOf(results)))
