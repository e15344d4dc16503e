/** The IPAM plugin alone, in a /16 that fills up. */
import { alternate, supported } from '../measure.mjs'
import { summariseTimes } from '../report/stats.mjs'

const runsOf = ({ runs }) => Math.max(3, Math.floor(runs / 3))

/** The sizes with a target. */
const targets = {
  0: { add: { standalone: { ratio: 0.8 } } },
  10000: { both: { standalone: { ratio: 0.2 } } },
}

const setup = 'host-local'

const noteCurve = (bench, points, kind) => {
  bench.curves.push({
    id: `host-local-${kind}`,
    title: `host-local alone: ${kind.toUpperCase()}`,
    x: 'leases in a /16',
    unit: 'ms',
    lines: [...points[0].samples.keys()].map(name => ({
      name,
      points: points.map(({ count, samples }) => ({ x: count, ...summariseTimes(samples.get(name)[kind]) })),
    })),
  })
}

export const hostLocal = {
  name: 'host-local',
  ticks: options => (runsOf(options) + options.warmUp) * options.leases.length,
  async run(bench) {
    const ours = await bench.host()
    const sides = await supported(bench, [
      ...(await bench.goSides(setup)),
      ...bench.side('standalone', { host: ours, setup }),
      ...bench.side('node', { host: ours, setup }),
    ])
    const hosts = new Set(sides.map(({ host }) => host))
    const points = []
    let there = 0
    for (const count of bench.options.leases) {
      bench.progress.label(`host-local: ${count} leases`)
      if (count > 0) for (const host of hosts) await host.request('leases', { count, from: there })
      there = count
      const samples = await alternate(bench, sides, { runs: runsOf(bench.options) })
      points.push({ count, samples })
      const title = `host-local alone beside ${count} leases`
      bench.pairRows({
        id: `host-local-${count}`,
        title,
        samples,
        kinds: ['add', 'del', 'both'],
        targets: targets[count],
      })
    }
    for (const kind of ['add', 'del']) noteCurve(bench, points, kind)
    await bench.end(...hosts)
  },
}
