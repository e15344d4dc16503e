/** docs/bench.svg: the cases as bars, and how times grow with what is there already as lines. */
import { isPeer } from '../peers.mjs'
import { formatNumber } from './format.mjs'
import { drawing, label, line, polyline, tag } from './svg.mjs'

const width = 960
const margin = 24

const colors = new Map([
  ['Go', '#9ca3af'],
  ['Go stable', '#9ca3af'],
  ['Go sid', '#6b7280'],
  ['netavark stable', '#fcd34d'],
  ['netavark sid', '#d97706'],
  ['standalone', '#2563eb'],
  ['node', '#93c5fd'],
  ['standalone, nftables', '#0d9488'],
  ['plugins, iptables', '#2563eb'],
  ['plugins, nftables', '#0d9488'],
  ['kubenet', '#ea580c'],
  ['inspect', '#2563eb'],
  ['inspect --json', '#93c5fd'],
  ['doctor', '#0d9488'],
  ['gc', '#ea580c'],
  ['gc --yes', '#dc2626'],
])

const colorOf = name => colors.get(name) ?? '#6b7280'

/** The rows that are drawn, in their order. */
const drawn = [
  'bridge-add',
  'masquerade-add',
  'masquerade-del',
  'chain-both',
  'kubenet-both',
  'growth',
  'burst-8-add',
  'burst-100-p50',
  'burst-100-p99',
  'netavark-both',
  'host-local-10000-both',
]

const barHeight = 15
/** Helvetica's letters of this size, the wide ones of a title too, are no wider on the average. */
const letterWidth = 6.6

/** The room that the longest of the titles needs. */
const labelWidthOf = rows => Math.max(0, ...rows.map(({ title }) => title.length)) * letterWidth

/** One case: a bar for each side, the longest as long as there is room. */
const bars = ({ title, sides, unit }, top, labelWidth) => {
  const barsWidth = width - labelWidth - 2 * margin - 90
  const shown = sides.filter(({ name }) => colors.has(name))
  const longest = Math.max(...shown.map(({ median }) => median))
  const parts = [label(margin + labelWidth - 12, top + 12, title, { anchor: 'end' })]
  shown.forEach(({ name, median, ratio }, i) => {
    const y = top + i * barHeight
    const length = (median / longest) * barsWidth
    const times = ratio === undefined ? '' : `  (× ${ratio.toFixed(2)})`
    parts.push(
      tag('rect', { x: margin + labelWidth, y, width: length, height: barHeight - 3, fill: colorOf(name) }),
      label(margin + labelWidth + length + 6, y + 10, `${formatNumber(median)} ${unit}${times}`, {
        size: 11,
      }),
    )
  })
  return { parts, bottom: top + shown.length * barHeight + 12 }
}

/** A round number of `unit`s at or above `value`, in which an axis may end. */
const ceiling = value => {
  const step = 10 ** Math.floor(Math.log10(value))
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map(times => times * step).find(end => end >= value) ?? value
}

const ticks = [0, 0.25, 0.5, 0.75, 1]

const axes = ({ title, x, unit }, box, ends) => [
  label(box.left, box.top - 14, `${title}, ${unit}`, { bold: true }),
  ...ticks.flatMap(share => {
    const y = box.bottom - share * (box.bottom - box.top)
    const column = box.left + share * (box.right - box.left)
    return [
      line({ x: box.left, y }, { x: box.right, y }),
      label(box.left - 6, y + 4, Math.round(share * ends.y * 10) / 10, { anchor: 'end', size: 11 }),
      label(column, box.bottom + 16, Math.round(share * ends.x), { anchor: 'middle', size: 11 }),
    ]
  }),
  label((box.left + box.right) / 2, box.bottom + 32, x, { anchor: 'middle', size: 11 }),
]

/** One curve: medians as lines. */
const chart = (curve, box) => {
  const all = curve.lines.flatMap(({ points }) => points)
  const ends = {
    x: Math.max(...all.map(point => point.x)),
    y: ceiling(Math.max(...all.map(({ median }) => median))),
  }
  const place = ({ x, median }) => ({
    x: box.left + (x / ends.x) * (box.right - box.left),
    y: box.bottom - (median / ends.y) * (box.bottom - box.top),
  })
  const lines = curve.lines.flatMap(({ name, points }) => [
    polyline(points.map(place), colorOf(name)),
    ...points.map(place).map(({ x, y }) => tag('circle', { cx: x, cy: y, r: 2.5, fill: colorOf(name) })),
  ])
  return [...axes(curve, box, ends), ...lines]
}

const legend = (names, top) => {
  let x = margin
  return names.flatMap(name => {
    const parts = [
      tag('rect', { x, y: top - 10, width: 12, height: 12, fill: colorOf(name) }),
      label(x + 17, top, name),
    ]
    x += 42 + name.length * 6.5
    return parts
  })
}

const chartHeight = 190

/** The curves, two beside each other, each pair with its legend. */
const charts = (curves, top) => {
  const parts = []
  let y = top
  for (let i = 0; i < curves.length; i += 2) {
    const pair = curves.slice(i, i + 2)
    parts.push(
      ...legend(
        pair[0].lines.map(({ name }) => name),
        y + 14,
      ),
    )
    pair.forEach((curve, column) => {
      const left = margin + 48 + column * (width / 2)
      const box = { left, right: left + width / 2 - 110, top: y + 56, bottom: y + 56 + chartHeight }
      parts.push(...chart(curve, box))
    })
    y += chartHeight + 120
  }
  return { parts, bottom: y }
}

const peersText = versions =>
  Object.entries(versions)
    .filter(([name]) => isPeer(name))
    .map(([name, version]) => `${name}: ${/ (\d[^-+ ]*)/.exec(version)?.[1] ?? version}`)
    .join(', ')

/** The drawing of a run's results. */
export const drawReport = ({ machine, rows, curves }) => {
  const { cpu, cores, kernel, versions } = machine
  const parts = [
    label(margin, 32, 'Medians by case, each to its own scale: shorter is better', { size: 16, bold: true }),
    label(margin, 52, `${cpu}, ${cores} cores, kernel ${kernel}; ${peersText(versions)}`, {
      size: 11,
    }),
    ...legend(
      [...Object.keys(versions).filter(isPeer), 'standalone', 'node', 'standalone, nftables', 'kubenet'],
      76,
    ),
  ]
  let top = 96
  const shown = drawn.flatMap(id => rows.filter(entry => entry.id === id))
  for (const row of shown) {
    const { parts: more, bottom } = bars(row, top, labelWidthOf(shown))
    parts.push(...more)
    top = bottom
  }
  const below = charts(curves, top + 16)
  return drawing({ width, height: below.bottom }, [...parts, ...below.parts])
}
