/** ADD and DEL of one more pod while others are there: up to as many as --pods says. */
import { alternate, firstMeasured, supported } from '../measure.mjs'
import { summariseTimes } from '../report/stats.mjs'

/** How full the node is at each point of the curves. */
const sharesOf = ({ quick }) => (quick ? [0, 1] : [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1])

/** How many pods are created in one request, and at once. */
const batch = 50
const width = 8

/** Fewer runs than elsewhere: the curve has many points. */
const runsOf = ({ runs }) => Math.max(3, Math.floor(runs / 4))

const sidesOf = async bench => {
  const { standalone } = bench.bins
  return [
    ...(await bench.goSides('pod')),
    ...bench.side('plugins, iptables', { host: await bench.host(), setup: 'pod', bins: standalone }),
    ...bench.side('plugins, nftables', { host: await bench.host(), setup: 'pod-nftables', bins: standalone }),
    ...bench.side('kubenet', { host: await bench.host(), setup: 'kubenet', bins: standalone }),
  ]
}

/** Has every side connect the pods `from` to `to`, each with its own plugins. */
const fill = async (bench, sides, { from, to }) => {
  for (const { host, setup, bins } of sides) {
    await host.addPods(from, to)
    for (let first = from; first < to; first += batch) {
      const length = Math.min(batch, to - first)
      const pods = Array.from({ length }, (_, i) => first + i)
      await host.request('attachMany', { setup, bins, command: 'ADD', pods, width })
      bench.progress.tick(length / batch)
    }
  }
}

const noteCurves = (bench, points) => {
  for (const kind of ['add', 'del']) {
    const names = [...points[0].samples.keys()]
    bench.curves.push({
      id: `growth-${kind}`,
      title: `${kind.toUpperCase()} of one more pod`,
      x: 'pods on the node',
      unit: 'ms',
      lines: names.map(name => ({
        name,
        points: points.map(({ pods, samples }) => ({ x: pods, ...summariseTimes(samples.get(name)[kind]) })),
      })),
    })
  }
}

const noteRows = (bench, points) => {
  const [empty, full] = [points[0], points.at(-1)]
  const targets = full.pods >= 500 ? { kubenet: { ratio: 0.08 } } : {}
  const entries = [...full.samples].map(([name, { both }]) => [name, both])
  bench.row({ id: 'growth', title: `a pod beside ${full.pods} pods: ADD + DEL`, entries, targets })
  for (const name of full.samples.keys()) {
    const ratio = full.pods >= 500 && name === 'kubenet' ? { [name]: { ratio: 1.3 } } : {}
    bench.row({
      id: `growth-own-${name}`,
      title: `${name} beside ${full.pods} pods, against itself on an empty node`,
      base: 'empty',
      entries: [
        ['empty', empty.samples.get(name).both],
        [name, full.samples.get(name).both],
      ],
      targets: ratio,
    })
  }
}

export const growth = {
  name: 'growth',
  ticks: options => (runsOf(options) + 1) * sharesOf(options).length + (5 * options.pods) / batch,
  async run(bench) {
    const most = Math.min(bench.options.pods, firstMeasured)
    const counts = sharesOf(bench.options).map(share => Math.round(share * most))
    const sides = await supported(bench, await sidesOf(bench))
    const points = []
    let there = 0
    for (const count of counts) {
      bench.progress.label(`growth: ${count} pods`)
      await fill(bench, sides, { from: there, to: count })
      there = count
      const samples = await alternate(bench, sides, { runs: runsOf(bench.options), warmUp: 1 })
      points.push({ pods: count, samples })
    }
    noteCurves(bench, points)
    noteRows(bench, points)
    await bench.end(...sides.map(({ host }) => host))
  },
}
