/** Whole pods: the list of plugins that a node with host ports and bandwidth limits has, and kubenet in its place. */
import { floorOf } from '../floor.mjs'
import { alternate, supported } from '../measure.mjs'

const kinds = ['add', 'del', 'both']

export const chain = {
  name: 'chain',
  ticks: ({ runs, warmUp }) => runs + warmUp,
  async run(bench) {
    const [ours, nftables] = [await bench.host(), await bench.host()]
    const sides = [
      ...(await bench.goSides('chain')),
      ...bench.side('standalone', { host: ours, setup: 'chain' }),
      ...bench.side('node', { host: ours, setup: 'chain' }),
      ...bench.side('standalone, nftables', {
        host: nftables,
        setup: 'chain-nftables',
        bins: bench.bins.standalone,
      }),
    ]
    const samples = await alternate(bench, await supported(bench, sides))
    const targets = { both: { standalone: { ratio: 0.33 } } }
    bench.pairRows({ id: 'chain', title: 'bridge + portmap + bandwidth', samples, kinds, targets })
    await bench.end(...new Set(sides.map(({ host }) => host)))
  },
}

export const kubenet = {
  name: 'kubenet',
  ticks: ({ runs, warmUp }) => runs + warmUp,
  async run(bench) {
    const [ours, floor] = [await bench.host(), await bench.host()]
    const sides = [
      ...(await bench.goSides('pod')),
      ...bench.side('standalone', { host: ours, setup: 'kubenet' }),
      ...bench.side('node', { host: ours, setup: 'kubenet' }),
      await floorOf('kubenet', floor),
    ]
    const samples = await alternate(bench, await supported(bench, sides))
    const targets = { both: { standalone: { ratio: 0.15 }, node: { ratio: 0.8 } } }
    const title = 'kubenet, against loopback + bridge + portmap + bandwidth'
    bench.pairRows({ id: 'kubenet', title, samples, kinds, targets })
    bench.floorRow({ id: 'kubenet-floor', title: 'the same against the floor: ADD + DEL', samples })
    await bench.end(...new Set(sides.map(({ host }) => host)))
  },
}
