const sorted = samples => [...samples].sort((a, b) => a - b)

/** The value below which `share` of the samples lie, interpolated between neighbours. */
export const quantile = (samples, share) => {
  if (samples.length === 0) return Number.NaN
  const order = sorted(samples)
  const place = (order.length - 1) * share
  const below = Math.floor(place)
  const above = Math.min(below + 1, order.length - 1)
  return order[below] + (order[above] - order[below]) * (place - below)
}

export const median = samples => quantile(samples, 0.5)

/** What a table shows of some samples. `spread` is half the distance of the quartiles: what half of them keep to. */
export const summarise = samples => ({
  runs: samples.length,
  median: median(samples),
  p95: quantile(samples, 0.95),
  min: quantile(samples, 0),
  spread: (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2,
  quartiles: [quantile(samples, 0.25), quantile(samples, 0.75)],
})

/** Do the middle halves of two summaries have values in common? Then which of them is faster is not sure. */
export const overlap = ({ quartiles: [low, high] }, { quartiles: [otherLow, otherHigh] }) =>
  low <= otherHigh && otherLow <= high

/** The times of programs that ran one after the other: { ms, cpuMs } of all. */
export const total = outcomes =>
  outcomes.reduce((sum, { ms, cpuMs }) => ({ ms: sum.ms + ms, cpuMs: sum.cpuMs + cpuMs }), {
    ms: 0,
    cpuMs: 0,
  })

/** The same for times: wall times as above, and the median of the processor time. */
export const summariseTimes = outcomes => ({
  ...summarise(outcomes.map(({ ms }) => ms)),
  cpu: median(outcomes.map(({ cpuMs }) => cpuMs)),
})
