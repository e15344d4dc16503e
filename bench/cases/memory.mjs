/** Memory: the peak of one call's largest process, and what many calls at once have together. */
import { existsSync } from 'node:fs'
import { supported } from '../measure.mjs'

const time = '/usr/bin/time'
const pod = 0
const width = 100
const count = 100

/** The largest resident set of any process of a call, in MB, as wait4(2) tells it to a parent that is small itself. */
const peakOf = async ({ host, setup, bins }, command) => {
  const request = { setup, bins, command, pod, prefix: [time, '-f', 'peak %M'] }
  const { calls } = await host.request('attach', request)
  const peaks = calls.map(({ stderr }) => Number(/peak (\d+)/.exec(stderr)?.[1]))
  return (Math.max(...peaks) * 1024) / 1e6
}

const single = async (bench, sides) => {
  const samples = new Map(sides.map(({ name }) => [name, []]))
  for (let run = 0; run < 3; run++) {
    for (const side of sides) {
      samples.get(side.name).push(Math.max(await peakOf(side, 'ADD'), await peakOf(side, 'DEL')))
    }
    bench.progress.tick()
  }
  bench.row({
    id: 'memory',
    title: 'peak memory of one call (kubenet; the Go plugins: their largest)',
    unit: 'MB',
    entries: [...samples],
    targets: { standalone: { value: 45 }, node: { value: 70 } },
  })
}

const together = async (bench, sides) => {
  const entries = []
  const pods = Array.from({ length: count }, (_, i) => i)
  for (const { name, host, setup, bins } of sides) {
    const request = { setup, bins, pods, width }
    const { peakKiB } = await host.request('memory', { ...request, command: 'ADD' })
    await host.request('attachMany', { ...request, command: 'DEL' })
    entries.push([name, [(peakKiB * 1024) / 1e6]])
    bench.progress.tick()
  }
  bench.row({
    id: 'memory-burst',
    title: `peak memory of ${width} pods at once, all processes`,
    unit: 'MB',
    entries,
  })
}

export const memory = {
  name: 'memory',
  ticks: () => 7,
  async run(bench) {
    if (!existsSync(time)) {
      bench.skip('memory', `${time} is not installed`)
      return
    }
    const ours = await bench.host()
    const sides = await supported(bench, [
      ...(await bench.goSides('pod')),
      ...bench.side('standalone', { host: ours, setup: 'kubenet' }),
      ...bench.side('node', { host: ours, setup: 'kubenet' }),
    ])
    const hosts = new Set(sides.map(({ host }) => host))
    for (const host of hosts) await host.addPods(0, count)
    await single(bench, sides)
    await together(bench, sides)
    await bench.end(...hosts)
  },
}
