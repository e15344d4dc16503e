/** Many pods at once, as after a node's reboot: the wall time until the last one is connected, and disconnected. */
import { supported } from '../measure.mjs'

const width = 8

const runsOf = ({ runs }) => Math.max(1, Math.floor(runs / 10))

const burstOf = async ({ host, setup, bins }, pods) => {
  const request = { setup, bins, pods, width }
  const add = await host.request('attachMany', { ...request, command: 'ADD' })
  const del = await host.request('attachMany', { ...request, command: 'DEL' })
  return { add, del }
}

export const burst = {
  name: 'burst',
  ticks: options => runsOf(options),
  async run(bench) {
    const { burst: count } = bench.options
    const { standalone } = bench.bins
    const sides = await supported(bench, [
      ...bench.side('peer', { host: await bench.host(), setup: 'pod' }),
      ...bench.side('plugins, iptables', { host: await bench.host(), setup: 'pod', bins: standalone }),
      ...bench.side('kubenet', { host: await bench.host(), setup: 'kubenet', bins: standalone }),
    ])
    for (const { host } of sides) await host.addPods(0, count)
    const samples = new Map(sides.map(({ name }) => [name, { add: [], del: [] }]))
    const pods = Array.from({ length: count }, (_, i) => i)
    const end = performance.now() + bench.options.seconds * 1000
    for (let run = 0; run < runsOf(bench.options); run++) {
      if (run > 0 && performance.now() > end) {
        bench.progress.tick(runsOf(bench.options) - run)
        break
      }
      for (const side of sides) {
        const { add, del } = await burstOf(side, pods)
        samples.get(side.name).add.push(add)
        samples.get(side.name).del.push(del)
      }
      bench.progress.tick()
    }
    const targets = { add: { kubenet: { ratio: 0.35 } } }
    for (const kind of ['add', 'del']) {
      const entries = [...samples].map(([name, times]) => [name, times[kind]])
      const title = `${count} pods, ${width} at a time: ${kind.toUpperCase()}, wall time`
      bench.row({ id: `burst-${kind}`, title, entries, targets: targets[kind] })
    }
    await bench.end(...sides.map(({ host }) => host))
  },
}
