/**
 * How long it takes that a program is there at all: the machine's own floor; VERSION, which does nothing else; and
 * `kubenet version`, for which the command line's modules are evaluated besides.
 */
import { alternatePrograms } from '../measure.mjs'

const version = { CNI_COMMAND: 'VERSION', CNI_PATH: '/opt/cni/bin' }

const folder = '/var/lib/cni/cold'

/** How much of a file may stay in memory for a start that counts as cold. */
const tolerated = 0.05

const warm = async (bench, host) => {
  const programs = [['true', () => host.run(['/bin/true'])]]
  for (const [name, bins] of Object.entries(bench.bins)) {
    if (bench.has({ name, setup: 'bridge', bins })) {
      programs.push([name, () => host.run([`${bins}/bridge`], { env: version })])
    }
  }
  const samples = await alternatePrograms(bench, programs)
  bench.row({ id: 'start', title: 'VERSION, and /bin/true in its place', entries: [...samples] })
}

const commandLine = async (bench, host) => {
  const programs = ['standalone', 'node']
    .map(name => ({ name, bins: bench.bins[name] }))
    .filter(side => side.bins !== undefined && bench.has({ ...side, setup: 'kubenet' }))
    .map(({ name, bins }) => [name, () => host.run([`${bins}/kubenet`, 'version'])])
  if (programs.length === 0) return
  const samples = await alternatePrograms(bench, programs)
  const targets = { standalone: { value: 15 } }
  bench.row({ id: 'version', title: 'kubenet version', entries: [...samples], targets })
}

/** Copies of the programs, which nothing else on the machine has open: only such can be dropped from memory. */
const copies = async (bench, host) => {
  const sides = Object.entries(bench.bins).filter(([name, bins]) =>
    bench.has({ name, setup: 'bridge', bins }),
  )
  await host.sh(`mkdir -p ${folder}/bin; cp ${process.execPath} ${folder}/bin/node`)
  const programs = []
  for (const [name, bins] of sides) {
    const program = `${folder}/${name}/bridge`
    await host.sh(`mkdir '${folder}/${name}'; cp ${bins}/bridge '${program}'`)
    const argv = name === 'node' ? [`${folder}/bin/node`, program] : [program]
    programs.push({ name, argv })
  }
  return programs
}

const evictAll = async (host, files) => {
  for (const path of files) {
    const { kept, size } = await host.request('evict', { path })
    if (kept > size * tolerated) return `the kernel keeps ${kept} bytes of ${path} in memory`
  }
  return undefined
}

const cold = async (bench, host) => {
  const programs = await copies(bench, host)
  for (const { argv } of programs) {
    const refusal = await evictAll(host, argv)
    if (refusal) {
      bench.skip('cold start', refusal)
      return
    }
  }
  const coldly = ({ name, argv }) => [
    name,
    async () => {
      await evictAll(host, argv)
      return host.run(argv, { env: version })
    },
  ]
  const samples = await alternatePrograms(bench, programs.map(coldly), { warmUp: 0 })
  bench.row({ id: 'cold', title: 'VERSION, its files not in memory', entries: [...samples] })
}

export const start = {
  name: 'start',
  ticks: ({ runs, warmUp }) => 3 * runs + 2 * warmUp,
  async run(bench) {
    const host = await bench.host('disk')
    await warm(bench, host)
    await commandLine(bench, host)
    await cold(bench, host)
    await bench.end(host)
  },
}
