/** portmap alone, with nftables: one port of one pod, on an empty node, beside a pod with many ports, beside many pods. */
import { alternate, firstMeasured, supported } from '../measure.mjs'

/** How many pods are created at once. */
const width = 8

const mostPods = ({ pods }) => Math.min(pods, firstMeasured)

/** The node that each side measures on: what else has ports there. */
const company = {
  empty: async () => {},
  'beside many ports': request => request('attach', { setup: 'many-ports', command: 'ADD', pod: 0 }),
  'beside many pods': async (request, count) => {
    const pods = Array.from({ length: count }, (_, pod) => pod)
    await request('attachMany', { setup: 'ports', command: 'ADD', pods, width })
  },
}

const sidesOf = async bench => {
  const bins = bench.bins.standalone
  const count = mostPods(bench.options)
  const sides = []
  for (const [name, fill] of Object.entries(company)) {
    const [side] = bench.side(name, { host: await bench.host(), setup: 'ports', bins })
    if (!side) return []
    await side.host.addPods(0, name === 'beside many pods' ? count : 1)
    await fill((op, what) => side.host.request(op, { ...what, bins }), count)
    sides.push(side)
  }
  const host = await bench.host()
  return [...sides, ...bench.side('many ports at once', { host, setup: 'many-ports', bins })]
}

export const hostPorts = {
  name: 'host-ports',
  ticks: ({ runs, warmUp }) => runs + warmUp,
  async run(bench) {
    const sides = await supported(bench, await sidesOf(bench))
    const samples = await alternate(bench, sides)
    const flat = { ratio: 1.3 }
    for (const kind of ['add', 'del']) {
      bench.row({
        id: `host-ports-${kind}`,
        title: `portmap, nftables, ${mostPods(bench.options)} pods or a pod with 500 ports: ${kind.toUpperCase()}`,
        base: 'empty',
        entries: [...samples].map(([name, times]) => [name, times[kind]]),
        targets: { 'beside many ports': flat, 'beside many pods': flat },
      })
    }
    await bench.end(...sides.map(({ host }) => host))
  },
}
