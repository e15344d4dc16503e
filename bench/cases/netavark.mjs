/** A pod with a host port and no limits, which netavark does in one call as well: its caller chooses the address. */
import { alternate, supported } from '../measure.mjs'
import { netavarks } from '../peers.mjs'

/** A pod that stays: with the last one netavark removes the bridge and its rules. */
const resident = 0

const settle = async ({ host, setup, bins, prefix }) => {
  await host.addPods(resident, resident + 1)
  await host.request('attach', { setup, bins, prefix, pod: resident, command: 'ADD' })
}

const netavarkSides = async bench => {
  const sides = []
  for (const { name, bins, prefix } of netavarks()) {
    const side = { name, bins, prefix, setup: 'netavark' }
    if (bench.has(side)) sides.push({ ...side, host: await bench.host() })
  }
  return sides
}

export const netavark = {
  name: 'netavark',
  ticks: ({ runs, warmUp }) => runs + warmUp,
  async run(bench) {
    const { standalone } = bench.bins
    const sides = [
      ...(await bench.goSides('pod-unlimited')),
      ...(await netavarkSides(bench)),
      ...bench.side('kubenet', { host: await bench.host(), setup: 'kubenet-unlimited', bins: standalone }),
    ]
    for (const side of sides) await settle(side)
    const samples = await alternate(bench, await supported(bench, sides))
    for (const [kind, name] of [
      ['add', 'ADD'],
      ['del', 'DEL'],
      ['both', 'ADD + DEL'],
    ]) {
      bench.row({
        id: `netavark-${kind}`,
        title: `a pod with a host port, no limits: ${name}`,
        base: 'netavark',
        entries: [...samples].map(([side, times]) => [side, times[kind]]),
        targets: kind === 'both' ? { kubenet: { ratio: 0.35 } } : {},
      })
    }
    await bench.end(...sides.map(({ host }) => host))
  },
}
