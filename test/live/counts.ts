/**
 * What one call costs in things that do not depend on the machine's load. These numbers are meant to be literal: how
 * to renew them, and when, is in docs/performance.md, "Counts".
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
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
      add: { execs: 1, opens: 41, netlinkSends: 17, fsyncs: 2, syscalls: 314 },
      del: { execs: 1, opens: 31, netlinkSends: 3, fsyncs: 0, syscalls: 218 },
    },
  ],
  [
    'kubenet',
    {
      add: { execs: 1, opens: 54, netlinkSends: 45, fsyncs: 2, syscalls: 503 },
      del: { execs: 1, opens: 36, netlinkSends: 20, fsyncs: 0, syscalls: 319 },
    },
  ],
  [
    'host-local',
    {
      add: { execs: 1, opens: 33, netlinkSends: 0, fsyncs: 2, syscalls: 209 },
      del: { execs: 1, opens: 28, netlinkSends: 0, fsyncs: 0, syscalls: 190 },
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
      // A wait for a port or for the ruleset may or may not have to ask again.
      near(t, found.opens, wanted?.opens, 1, `${about}: files opened`)
      near(t, found.netlinkSends, wanted?.netlinkSends, 3, `${about}: netlink messages`)
      near(t, found.syscalls, wanted?.syscalls, 20, `${about}: system calls`)
    }
  }
})

const near = (t: Test, found: number, wanted: number | undefined, slack: number, about: string) =>
  t.ok(
    wanted !== undefined && Math.abs(found - wanted) <= slack,
    `${about}: ${found}, of ${wanted} ± ${slack}`,
  )

t.test('what a plugin has the runtime read at its start stays small', async t => {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'plugins/main.ts')],
    bundle: true,
    write: false,
    minify: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    legalComments: 'none',
    conditions: ['bun'],
    // The command line is packed: as text it costs nothing but its pages on the disk.
    external: ['bun:*', '*/kubenet/cli/process.js'],
    define: { __VERSION__: '"0"', __COMMIT__: '"0"' },
  })
  const bytes = outputFiles[0]?.contents.length ?? 0
  t.ok(bytes > 0 && bytes <= 240_000, `${bytes} bytes, at most 240000`)
})
