/**
 * What one call costs in things that do not depend on the machine's load. These numbers are meant to be literal: how
 * to renew them, and when, is in bench/results.md, "Counts".
 */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'

const root = join(__dirname, '../..')

type Counts = {
  readonly execs: number
  readonly opens: number
  readonly netlinkSends: number
  readonly fsyncs: number
  readonly syscalls: number
}

type Counted = { readonly setup: string; readonly add: Counts; readonly del: Counts }

/** Of a second pod on the node, everything shared being there. */
const expected = new Map<string, { readonly add: Counts; readonly del: Counts }>([
  [
    'bridge',
    {
      add: { execs: 1, opens: 14, netlinkSends: 16, fsyncs: 1, syscalls: 179 },
      del: { execs: 1, opens: 7, netlinkSends: 3, fsyncs: 0, syscalls: 89 },
    },
  ],
  [
    'kubenet',
    {
      add: { execs: 1, opens: 25, netlinkSends: 39, fsyncs: 1, syscalls: 355 },
      del: { execs: 1, opens: 10, netlinkSends: 12, fsyncs: 0, syscalls: 152 },
    },
  ],
  [
    'host-local',
    {
      add: { execs: 1, opens: 10, netlinkSends: 0, fsyncs: 1, syscalls: 81 },
      del: { execs: 1, opens: 6, netlinkSends: 0, fsyncs: 0, syscalls: 62 },
    },
  ],
])

const reason =
  process.getuid?.() !== 0
    ? 'needs root'
    : !existsSync('/usr/bin/strace')
      ? 'needs /usr/bin/strace'
      : !existsSync(join(root, 'dist/standalone/bridge'))
        ? 'needs dist/standalone'
        : false

t.test('a call starts, opens, sends and waits for no more than this', { skip: reason }, async t => {
  const argv = ['bench/counts.mjs', '--flavour', 'standalone', '--json', ...expected.keys()]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: root })
  const { counts }: { counts: Counted[] } = JSON.parse(stdout)
  t.same(
    counts.map(({ setup }) => setup),
    [...expected.keys()],
  )
  for (const { setup, ...counted } of counts) {
    for (const verb of ['add', 'del'] as const) {
      const found = counted[verb]
      const wanted = expected.get(setup)?.[verb]
      const about = `${setup} ${verb.toUpperCase()}`
      t.equal(found.execs, wanted?.execs, `${about}: programs, its own included`)
      t.equal(found.fsyncs, wanted?.fsyncs, `${about}: waits for the disk`)
      // A wait for a port or for the ruleset may or may not must ask again.
      near(t, found.opens, wanted?.opens, 1, `${about}: files opened`)
      near(t, found.netlinkSends, wanted?.netlinkSends, 3, `${about}: netlink messages`)
      near(t, found.syscalls, wanted?.syscalls, 20, `${about}: system calls`)
    }
  }
})

/** What is before the heap's place in the program: frozen.c. */
const heapMark = 'a frozen heap: \0'

const near = (t: Test, found: number, wanted: number | undefined, slack: number, about: string) =>
  t.ok(
    wanted !== undefined && Math.abs(found - wanted) <= slack,
    `${about}: ${found}, of ${wanted} ± ${slack}`,
  )

t.test('plugins stay small', { skip: reason }, async t => {
  const program = readFileSync(join(root, 'dist/standalone/bridge'))
  const heapSize =
    program.length - Number(program.readBigUInt64LE(program.indexOf(heapMark) + heapMark.length))
  t.ok(program.length <= 6_000_000, `${program.length} bytes with the command line, at most 6000000`)
  t.ok(heapSize <= 2_850_000, `${heapSize} bytes of them are the heap that every call reads, at most 2850000`)
})
