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

/** The heads of a row's columns. */
export const columns = ['', 'median', '±', 'p95', 'cpu', 'runs', 'ratio', 'target', '']

/** One side of a row as cells. */
export const cellsOf = (side, unit) => [
  side.name,
  `${formatNumber(side.median)} ${unit}`,
  formatNumber(side.spread),
  formatNumber(side.p95),
  side.cpu === undefined ? '' : formatNumber(side.cpu),
  String(side.runs),
  side.ratio === undefined ? '' : side.ratio.toFixed(2),
  formatTarget(side, unit),
  verdict(side),
]
