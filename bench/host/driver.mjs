/**
 * Runs inside a private host and carries out requests: one JSON line a request, one a response. It is
 * synchronous from end to end: while a plugin runs, nothing else does in this process.
 */
import { readFileSync, readSync, writeSync } from 'node:fs'
import { attach, attachMany } from './attach.mjs'
import { evict } from './evict.mjs'
import { writeLeases } from './leases.mjs'
import { livingMemory } from './memory.mjs'
import { remember, writeNetwork } from './runtime.mjs'
import { run } from './spawn.mjs'

/** Peak of what all processes of this host but this one have in memory, shared pages counted once. */
const watchMemory = () => {
  let peak = 0
  return {
    watch: () => {
      peak = Math.max(peak, livingMemory())
    },
    peakKiB: () => peak,
  }
}

const requests = {
  run: ({ program }) => run(program),
  attach,
  attachMany,
  memory: request => {
    const memory = watchMemory()
    const { ms } = attachMany(request, memory.watch)
    return { ms, peakKiB: memory.peakKiB() }
  },
  leases: ({ count, from }) => writeLeases(count, from),
  network: request => writeNetwork(request),
  remember: request => remember(request),
  evict: ({ path }) => evict(path),
  read: ({ path }) => ({ text: readFileSync(path, 'utf8') }),
}

const answer = line => {
  try {
    const { op, ...request } = JSON.parse(line)
    return { ok: requests[op](request) }
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

const chunk = Buffer.alloc(65536)
let pending = ''

for (;;) {
  const length = readSync(0, chunk)
  if (length === 0) break
  pending += chunk.toString('utf8', 0, length)
  const lines = pending.split('\n')
  pending = lines.pop() ?? ''
  for (const line of lines) {
    const text = Buffer.from(`${JSON.stringify(answer(line))}\n`)
    for (let written = 0; written < text.length; ) written += writeSync(1, text, written)
  }
}
