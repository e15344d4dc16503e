/** Many pods at once, as after a node's reboot: how long a pod's ADD takes, and the wall time until the last one is there. */
import { supported } from '../measure.mjs'
import { quantile } from '../report/stats.mjs'

const widthsOf = ({ quick }) => (quick ? [8] : [8, 32, 100])

const runsOf = ({ runs }) => Math.max(1, Math.floor(runs / 10))

const burstOf = async ({ host, setup, bins }, pods, width) => {
  const request = { setup, bins, pods, width }
  const add = await host.request('attachMany', { ...request, command: 'ADD' })
  const del = await host.request('attachMany', { ...request, command: 'DEL' })
  return { add, del }
}

const emptySamples = () => ({ add: [], del: [], p50: [], p99: [] })

const note = (samples, { add, del }) => {
  samples.add.push(add)
  samples.del.push(del)
  for (const [name, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ]) {
    samples[name].push({ ms: quantile(add.pods, share), cpuMs: add.cpuMs / add.pods.length })
  }
}

const titles = {
  p50: 'ADD of a pod, half are faster',
  p99: 'ADD of a pod, one in a hundred is slower',
  add: 'ADD of all, wall time',
  del: 'DEL of all, wall time',
}

const targets = { p50: 0.6, p99: 0.6, add: 0.35 }

const measure = async (bench, sides, width) => {
  const { burst: count, seconds } = bench.options
  const pods = Array.from({ length: count }, (_, i) => i)
  const samples = new Map(sides.map(({ name }) => [name, emptySamples()]))
  const end = performance.now() + seconds * 1000
  for (let run = 0; run < runsOf(bench.options); run++) {
    if (run > 0 && performance.now() > end) {
      bench.progress.tick(runsOf(bench.options) - run)
      break
    }
    for (const side of sides) note(samples.get(side.name), await burstOf(side, pods, width))
    bench.progress.tick()
  }
  for (const [kind, title] of Object.entries(titles)) {
    bench.row({
      id: `burst-${width}-${kind}`,
      title: `${count} pods, ${width} at a time: ${title}`,
      entries: [...samples].map(([name, times]) => [name, times[kind]]),
      targets: kind in targets ? { kubenet: { ratio: targets[kind] } } : {},
    })
  }
}

export const burst = {
  name: 'burst',
  ticks: options => runsOf(options) * widthsOf(options).length,
  async run(bench) {
    const { standalone } = bench.bins
    const sides = await supported(bench, [
      ...(await bench.goSides('pod')),
      ...bench.side('plugins, iptables', { host: await bench.host(), setup: 'pod', bins: standalone }),
      ...bench.side('kubenet', { host: await bench.host(), setup: 'kubenet', bins: standalone }),
    ])
    for (const { host } of sides) await host.addPods(0, bench.options.burst)
    for (const width of widthsOf(bench.options)) {
      bench.progress.label(`burst: ${width} at a time`)
      await measure(bench, sides, width)
    }
    await bench.end(...sides.map(({ host }) => host))
  },
}
