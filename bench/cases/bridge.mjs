/** One plugin: bridge with its IPAM plugin host-local, without and with masquerading. */
import { floorOf } from '../floor.mjs'
import { alternate, supported } from '../measure.mjs'

const kinds = ['add', 'del']

const compare = async (bench, { setup, id, title, store, targets, floor = false }) => {
  const ours = await bench.host(store)
  const sides = [
    ...(await bench.goSides(setup, store)),
    ...bench.side('standalone', { host: ours, setup }),
    ...bench.side('node', { host: ours, setup }),
    ...(floor ? [await floorOf(setup, await bench.host(store))] : []),
  ]
  const samples = await alternate(bench, await supported(bench, sides))
  bench.pairRows({ id, title, samples, kinds: floor ? [...kinds, 'both'] : kinds, targets })
  await bench.end(...new Set(sides.map(({ host }) => host)))
  return samples
}

export const bridge = {
  name: 'bridge',
  ticks: ({ runs, warmUp, quick }) => (quick ? 1 : 2) * (runs + warmUp),
  async run(bench) {
    const common = { setup: 'bridge', title: 'bridge + host-local' }
    const add = { standalone: { ratio: 0.65 } }
    await compare(bench, { ...common, id: 'bridge', store: 'disk', targets: { add } })
    if (bench.options.quick) return
    const title = 'the same, leases in memory (tmpfs)'
    await compare(bench, { ...common, id: 'bridge-tmpfs', title, store: 'tmpfs' })
  },
}

export const masquerade = {
  name: 'masquerade',
  ticks: ({ runs, warmUp }) => runs + warmUp,
  async run(bench) {
    const targets = {
      add: { standalone: { ratio: 0.4 }, node: { ratio: 1.5 } },
      del: { standalone: { ratio: 0.5 }, node: { ratio: 1 } },
      both: { standalone: { ratio: 0.4 } },
    }
    const about = { setup: 'masquerade', id: 'masquerade', title: 'bridge + host-local, ipMasq' }
    const samples = await compare(bench, { ...about, targets, floor: true })
    bench.floorRow({ id: 'masquerade-floor', title: 'the same against the floor: ADD + DEL', samples })
  },
}
