/** The report on a terminal. */
import { formatMachine } from '../machine.mjs'
import { cellsOf, columnsOf, formatNumber, peersOf } from './format.mjs'

/** Lines of cells under each other, the first column to the left and the others to the right. */
export const align = lines => {
  const widths = lines[0].map((_, column) => Math.max(...lines.map(cells => cells[column].length)))
  return lines.map(cells =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  )
}

const section = (title, lines) => ['', title, ...lines.map(line => `  ${line}`)]

const rowsTable = rows => {
  const peers = peersOf(rows)
  const lines = align([
    columnsOf(peers),
    ...rows.flatMap(({ sides, unit }) => sides.map(side => cellsOf(side, unit, peers))),
  ])
  const [head = '', ...rest] = lines
  const text = [`  ${head}`]
  for (const { title, sides } of rows) text.push(...section(title, rest.splice(0, sides.length)).slice(1))
  return text
}

const curveTable = ({ title, x, unit, lines }) => {
  const head = [x, ...lines[0].points.map(point => String(point.x))]
  const body = lines.map(({ name, points }) => [name, ...points.map(({ median }) => formatNumber(median))])
  return section(`${title}, ${unit}`, align([head, ...body]))
}

const phaseTable = ({ id, side, command, steps }) => {
  const body = steps.map(({ program, name, median, min }) => [
    `${program}: ${name}`,
    formatNumber(median),
    formatNumber(min),
  ])
  return section(`${id}, ${side}, ${command}: steps, ms`, align([['', 'median', 'min'], ...body]))
}

const countNames = ['execs', 'threads', 'syscalls', 'opens', 'netlinkSends', 'netlinkReceives', 'fsyncs']

/** Counts as cells: setup and side, command, then one column a count. */
export const countCells = counts => [
  ['', '', ...countNames],
  ...counts.flatMap(({ setup, side, add, del }) =>
    [
      ['ADD', add],
      ['DEL', del],
    ].map(([command, numbers]) => [
      `${setup}, ${side}`,
      command,
      ...countNames.map(name => String(numbers[name])),
    ]),
  ),
]

/** The whole report. */
export const formatTable = ({ machine, rows, curves, phases, counts, skipped }) =>
  [
    ...formatMachine(machine),
    ...(rows.length > 0 ? ['', ...rowsTable(rows)] : []),
    ...curves.flatMap(curveTable),
    ...phases.flatMap(phaseTable),
    ...(counts.length > 0 ? section('counts', align(countCells(counts))) : []),
    ...(skipped.length > 0
      ? section(
          'skipped',
          skipped.map(({ what, reason }) => `${what}: ${reason}`),
        )
      : []),
    '',
  ].join('\n')
