/** Numbers and verdicts as all reports show them. */

/** Three figures, as many as a time on a busy machine is good for. */
export const formatNumber = value => {
  if (!Number.isFinite(value)) return '-'
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

const formatTarget = ({ target }, unit) => {
  if (!target) return ''
  return target.ratio !== undefined ? `≤ ${target.ratio}` : `≤ ${target.value} ${unit}`
}

const verdict = ({ target, ratio, median }) => {
  if (!target) return ''
  const reached = target.ratio !== undefined ? ratio <= target.ratio : median <= target.value
  return reached ? '✓' : '✗'
}

/** The peers that sides of the rows are compared with, in the order of their appearance. */
export const peersOf = rows => [
  ...new Set(rows.flatMap(({ sides }) => sides.flatMap(({ ratios = {} }) => Object.keys(ratios)))),
]

/** The heads of the columns: one a peer, then the ratio to the fastest that the target is about. */
export const columnsOf = peers => [
  '',
  'median',
  '±',
  'p95',
  'cpu',
  'runs',
  ...peers.map(peer => `/ ${peer}`),
  'ratio',
  'target',
  '',
]

/** Middle halves that overlap say little. */
const formatRatio = ({ ratio, overlaps }) =>
  ratio === undefined ? '' : `${overlaps ? '~ ' : ''}${ratio.toFixed(2)}`

/** One side of a row as cells. */
export const cellsOf = (side, unit, peers) => [
  side.name,
  `${formatNumber(side.median)} ${unit}`,
  formatNumber(side.spread),
  formatNumber(side.p95),
  side.cpu === undefined ? '' : formatNumber(side.cpu),
  String(side.runs),
  ...peers.map(peer => side.ratios?.[peer]?.toFixed(2) ?? ''),
  formatRatio(side),
  formatTarget(side, unit),
  verdict(side),
]
