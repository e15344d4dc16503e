/**
 * Counts system calls, programs started, files opened, netlink messages and the bytes of the programs: what a change
 * of the code changes and the load of the machine does not.
 *
 *   node bench/counts.mjs [--dist DIR] [--peer DIR] [--flavour standalone|node] [--json] [SETUP ...]
 *
 * As a module: `countSetup(side)` of cases/counts.mjs is one setup on one side.
 */
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { counts } from './cases/counts.mjs'
import { Bench } from './context.mjs'
import { setups } from './host/setups.mjs'
import { goPeers } from './peers.mjs'
import { align, countCells } from './report/table.mjs'

const root = join(import.meta.dirname, '..')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dist: { type: 'string', default: 'dist' },
    peer: { type: 'string' },
    flavour: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

const unknown = positionals.find(name => !(name in setups))
if (unknown !== undefined) {
  process.stderr.write(`bench/counts.mjs: no setup "${unknown}": ${Object.keys(setups).join(', ')}\n`)
  process.exit(2)
}

const folders = {
  ...(values.peer !== undefined && goPeers(values)),
  standalone: resolve(root, values.dist, 'standalone'),
  node: resolve(root, values.dist, 'node'),
}
const bins = Object.fromEntries(
  Object.entries(folders).filter(([name, folder]) => existsSync(folder) && (values.flavour ?? name) === name),
)
const bench = new Bench({ store: 'tmpfs', ...(positionals.length > 0 && { setups: positionals }) }, bins)

await counts.run(bench)
await bench.end()

const bytes = Object.fromEntries(
  Object.entries(bins).flatMap(([name, folder]) => {
    const program = `${folder}/bridge`
    return existsSync(program) ? [[name, statSync(program).size]] : []
  }),
)

if (values.json) process.stdout.write(`${JSON.stringify({ counts: bench.counts, bytes }, null, 2)}\n`)
else {
  const sizes = Object.entries(bytes).map(([name, size]) => `${name}: ${size} bytes`)
  process.stdout.write(`${[...align(countCells(bench.counts)), '', ...sizes].join('\n')}\n`)
}
