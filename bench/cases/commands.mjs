/** What looks at the whole node, by how many pods it has: inspect, doctor, gc. */
import { existsSync } from 'node:fs'
import { alternatePrograms } from '../measure.mjs'
import { summariseTimes } from '../report/stats.mjs'

const setup = 'kubenet'
const network = 'pods'

/** The commands, by what they are called in the report. The last one finds nothing that is stale, and leaves all. */
const commands = {
  inspect: ['inspect'],
  'inspect --json': ['inspect', '--json'],
  doctor: ['doctor'],
  gc: ['gc', network],
  'gc --yes': ['gc', network, '--yes', '--all'],
}

/** How full the node is at each point of the curves. */
const sharesOf = ({ quick }) => (quick ? [1] : [0, 0.1, 0.5, 1])

const batch = 50
const width = 8

/** Few runs: these are started by people, and by timers once a minute. */
const runsOf = ({ runs }) => Math.max(3, Math.floor(runs / 6))

const flavours = ['standalone', 'node']

const programsOf = bench =>
  flavours.flatMap(flavour => {
    const bins = bench.bins[flavour]
    // What is measured may be an older version, whose command line was a program by itself.
    const program = ['kubenet-cli', 'kubenet'].map(name => `${bins}/${name}`).find(path => existsSync(path))
    if (bins !== undefined && program) return [{ flavour, bins, program }]
    bench.skip(`${flavour}, commands`, `there is no command line in ${bins}`)
    return []
  })

/** Runs a command: its answer is more than a pipe holds. The doctor exits with 1 of a node that is not well. */
const runCommand = async (host, { bins, program }, args) => {
  const env = { CNI_PATH: bins, NETCONFPATH: '/run/net.d', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' }
  const argv = [program, ...args]
  const outcome = await host.request('run', { program: { argv, env, into: '/run/answer' } })
  if (outcome.code !== 0 && !(args[0] === 'doctor' && outcome.code === 1)) {
    throw new Error(`${argv.join(' ')}: exit code ${outcome.code}\n${outcome.stderr}`)
  }
  return outcome
}

/** Has pods connected, and remembered as a runtime does. */
const fill = async (bench, host, { bins, from, to }) => {
  await host.addPods(from, to)
  for (let first = from; first < to; first += batch) {
    const length = Math.min(batch, to - first)
    const pods = Array.from({ length }, (_, i) => first + i)
    await host.request('attachMany', { setup, bins, command: 'ADD', pods, width })
    await host.request('remember', { setup, pods })
    bench.progress.tick(length / batch)
  }
}

const noteCurves = (bench, points, programs) => {
  for (const { flavour } of programs) {
    bench.curves.push({
      id: `commands-${flavour}`,
      title: `${flavour} command line`,
      x: 'pods on the node',
      unit: 'ms',
      lines: Object.keys(commands).map(name => ({
        name,
        points: points.map(({ pods, samples }) => ({
          x: pods,
          ...summariseTimes(samples.get(`${flavour} ${name}`)),
        })),
      })),
    })
  }
}

export const commandLine = {
  name: 'commands',
  ticks: options => (runsOf(options) + 1) * sharesOf(options).length + options.crowd / batch,
  async run(bench) {
    const programs = programsOf(bench)
    const { standalone } = bench.bins
    if (programs.length === 0 || !bench.has({ name: 'standalone', setup, bins: standalone })) return
    const host = await bench.host()
    await host.request('network', { setup })
    const points = []
    let there = 0
    for (const share of sharesOf(bench.options)) {
      const count = Math.round(share * bench.options.crowd)
      bench.progress.label(`commands: ${count} pods`)
      await fill(bench, host, { bins: standalone, from: there, to: count })
      there = count
      const calls = programs.flatMap(side =>
        Object.entries(commands).map(([name, args]) => [
          `${side.flavour} ${name}`,
          () => runCommand(host, side, args),
        ]),
      )
      const samples = await alternatePrograms(bench, calls, { runs: runsOf(bench.options), warmUp: 1 })
      points.push({ pods: count, samples })
    }
    noteCurves(bench, points, programs)
    await bench.end(host)
  },
}
