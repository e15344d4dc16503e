/** What the programs take on the disk. */
import { existsSync, statSync } from 'node:fs'

const names = ['bandwidth', 'bridge', 'host-local', 'loopback', 'portmap']

/** The bytes of the plugins of a folder, in MB, a file of several names counted once. */
const sizeOf = (bins, programs) => {
  const files = new Map()
  for (const name of programs) {
    const path = `${bins}/${name}`
    if (!existsSync(path)) continue
    const { dev, ino, size } = statSync(path)
    files.set(`${dev}:${ino}`, size)
  }
  return [...files.values()].reduce((sum, size) => sum + size, 0) / 1e6
}

export const size = {
  name: 'size',
  ticks: () => 1,
  async run(bench) {
    const entries = Object.entries(bench.bins).map(([name, bins]) => [
      name,
      [sizeOf(bins, [...names, 'kubenet'])],
    ])
    bench.row({
      id: 'size',
      title: 'all programs on the disk (the Go plugins: the five of the same names)',
      unit: 'MB',
      entries,
    })
    bench.progress.tick()
  },
}
