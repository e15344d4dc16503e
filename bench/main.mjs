/** Runs the cases and writes what came out. Started by scripts/bench. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { bridge, masquerade } from './cases/bridge.mjs'
import { burst } from './cases/burst.mjs'
import { chain, kubenet } from './cases/chain.mjs'
import { commandLine } from './cases/commands.mjs'
import { counts } from './cases/counts.mjs'
import { growth } from './cases/growth.mjs'
import { hostLocal } from './cases/host-local.mjs'
import { hostPorts } from './cases/host-ports.mjs'
import { memory } from './cases/memory.mjs'
import { netavark } from './cases/netavark.mjs'
import { size } from './cases/size.mjs'
import { start } from './cases/start.mjs'
import { Bench } from './context.mjs'
import { describeMachine } from './machine.mjs'
import { readOptions, usage } from './options.mjs'
import { goPeers, netavarks } from './peers.mjs'
import { renewTables } from './report/markdown.mjs'
import { drawReport } from './report/plot.mjs'
import { formatTable } from './report/table.mjs'

const root = join(import.meta.dirname, '..')
const cases = [
  start,
  bridge,
  masquerade,
  chain,
  kubenet,
  netavark,
  hostLocal,
  hostPorts,
  burst,
  growth,
  commandLine,
  memory,
  size,
  counts,
]

const chosen = ({ case: names, quick }) => {
  // Counts and memory do not depend on how long anything takes, so that a quick look does without.
  if (names === undefined) return quick ? cases.filter(entry => entry !== counts && entry !== memory) : cases
  return names.map(name => {
    const found = cases.find(entry => entry.name === name)
    if (!found) throw new Error(`--case "${name}": not one of ${cases.map(entry => entry.name).join(', ')}`)
    return found
  })
}

/** The folders of programs that are there. */
const foldersOf = options => {
  const folders = {
    ...goPeers(options),
    standalone: resolve(root, options.dist, 'standalone'),
    node: resolve(root, options.dist, 'node'),
  }
  return Object.entries(folders)
}

const benchOf = options => {
  const folders = foldersOf(options)
  const bench = new Bench(options, Object.fromEntries(folders.filter(([, folder]) => existsSync(folder))))
  for (const [name, folder] of folders) if (!existsSync(folder)) bench.skip(name, `there is no ${folder}`)
  return bench
}

const measure = async (bench, list) => {
  for (const entry of list) bench.progress.plan(entry.ticks(bench.options))
  for (const entry of list) {
    bench.progress.label(entry.name)
    await entry.run(bench)
  }
  await bench.end()
  bench.progress.end()
}

const write = (results, { out, whole }) => {
  if (!whole && out === undefined) return
  const file = resolve(out ?? join(root, 'bench/results.json'))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
  if (!whole) return
  writeFileSync(join(root, 'docs/bench.svg'), drawReport(results))
  renewTables(join(root, 'bench/results.md'), results)
}

const main = async argv => {
  const options = readOptions(argv)
  if (options.help) {
    process.stdout.write(usage)
    return
  }
  const list = chosen(options)
  const bench = benchOf(options)
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      bench.kill()
      process.exit(130)
    })
  }
  const machine = describeMachine({
    ...bench.bins,
    ...Object.fromEntries(netavarks().map(({ name, bins }) => [name, bins])),
  })
  try {
    await measure(bench, list)
  } catch (error) {
    bench.kill()
    throw error
  }
  const { rows, curves, phases, counts: counted, skipped } = bench
  const { runs, pods, store } = options
  const results = { machine, options: { runs, pods, store }, rows, curves, phases, counts: counted, skipped }
  write(results, options)
  process.stdout.write(options.json ? `${JSON.stringify(results, null, 2)}\n` : formatTable(results))
}

main(process.argv.slice(2)).catch(error => {
  process.stderr.write(`\nscripts/bench: ${error instanceof Error ? error.message : error}\n`)
  process.exit(1)
})
