import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const bench = join(__dirname, '../../bench')

/** The benchmark is plain ES modules, which have no types to import them by. */
const load = (path: string) => import(`${bench}/${path}`)

t.test('quantile() interpolates between neighbours, in any order of the samples', async t => {
  const { median, quantile, summarise } = await load('report/stats.mjs')
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(quantile([0, 10], 0.95), 9.5)
  t.ok(Number.isNaN(median([])), 'of nothing there is none')
  t.match(summarise([1, 2, 3, 4, 5]), { runs: 5, median: 3, min: 1, spread: 1 })
})

t.test('total() adds wall and processor times', async t => {
  const { summariseTimes, total } = await load('report/stats.mjs')
  const times = [
    { ms: 2, cpuMs: 1 },
    { ms: 4, cpuMs: 3 },
  ]
  t.same(total(times), { ms: 6, cpuMs: 4 })
  t.match(summariseTimes(times), { median: 3, cpu: 2 })
})

t.test('phases are medians by step, and what no step covers is a step too', async t => {
  const { parseTrace, summarisePhases } = await load('report/phases.mjs')
  const steps = parseTrace(
    '    1.500 ms  start\n    0.250 ms  veth\nwarning: 3 ms late\n    0.250 ms  veth\n',
  )
  t.same(steps, [
    { name: 'start', ms: 1.5 },
    { name: 'veth', ms: 0.25 },
    { name: 'veth', ms: 0.25 },
  ])
  t.same(summarisePhases([[{ program: 'bridge', ms: 3, steps }], [{ program: 'bridge', ms: 5, steps }]]), [
    { program: 'bridge', name: 'start', median: 1.5, min: 1.5 },
    { program: 'bridge', name: 'veth', median: 0.25, min: 0.25 },
    { program: 'bridge', name: 'veth (2)', median: 0.25, min: 0.25 },
    { program: 'bridge', name: '(exec and exit)', median: 2, min: 1 },
  ])
})

t.test('countSyscalls() counts a call once, and no program that was only tried', async t => {
  const { countSyscalls } = await load('report/strace.mjs')
  const log = [
    '7  execve("/usr/bin/env", ["env", "node"], 0x1 /* 3 vars */) = 0',
    '7  execve("/usr/local/bin/node", ["node"], 0x1 /* 3 vars */) = -1 ENOENT (No such file or directory)',
    '7  openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3',
    '7  clone3({flags=CLONE_VM|CLONE_THREAD}, 88 <unfinished ...>',
    '8  sendto(5, [{nlmsg_len=32}], 32, 0, NULL, 0) = 32',
    '7  <... clone3 resumed>) = 8',
    '8  recvfrom(5, [{nlmsg_len=36}], 8192, 0, NULL, NULL) = 36',
    '8  futex(0x1, FUTEX_WAKE_PRIVATE, 1) = 0',
    '7  fsync(4) = 0',
    '7  +++ exited with 0 +++',
  ].join('\n')
  t.same(countSyscalls(log), {
    execs: 1,
    threads: 1,
    syscalls: 7,
    opens: 1,
    netlinkSends: 1,
    netlinkReceives: 1,
    fsyncs: 1,
  })
})

t.test('replaceSections() changes what is between markers and nothing else', async t => {
  const { replaceSections } = await load('report/markdown.mjs')
  const text = 'a\n<!-- bench: one -->\nold\n<!-- /bench -->\nb\n<!-- bench: two -->\n<!-- /bench -->\nc\n'
  const once = replaceSections(text, new Map([['one', 'new']]))
  t.equal(once, text.replace('old', 'new'))
  t.equal(replaceSections(once, new Map([['one', 'new']])), once, 'again the same')
  t.equal(replaceSections(text, new Map([['three', 'new']])), text, 'a section without a place')
  t.throws(() => replaceSections('<!-- bench: one -->', new Map([['one', 'new']])), /without/)
})

t.test('overlap() is of middle halves, their ends included', async t => {
  const { overlap, summarise } = await load('report/stats.mjs')
  const low = summarise([1, 2, 3, 4, 5])
  t.ok(overlap(low, summarise([4, 4, 9])))
  t.ok(overlap(summarise([4, 4, 9]), low))
  t.notOk(overlap(low, summarise([5, 5, 9])))
})

t.test('a ratio is to the faster of the versions of a peer', async t => {
  const { Bench } = await load('context.mjs')
  const bench = new Bench({}, {})
  const times = (ms: number) => [{ ms, cpuMs: ms }]
  bench.row({
    id: 'x',
    title: 'x',
    entries: [
      ['Go stable', times(10)],
      ['Go sid', times(8)],
      ['standalone', times(4)],
    ],
    targets: { standalone: { ratio: 0.65 } },
  })
  const [stable, sid, ours] = bench.rows[0].sides
  t.match(ours, {
    ratio: 0.5,
    ratios: { 'Go stable': 0.4, 'Go sid': 0.5 },
    target: { ratio: 0.65 },
  })
  t.same([stable.ratio, sid.ratio, ours.overlaps], [undefined, undefined, undefined])
})

t.test('rounds that settle nothing are repeated, at most three times as many', async t => {
  const { alternate } = await load('measure.mjs')
  const bench = { options: { seconds: 60, runs: 4, warmUp: 0 }, progress: { tick: () => {} } }
  const fixed = (name: string, ms: number) => ({
    name,
    pair: async () => ({ add: { ms, cpuMs: ms }, del: { ms, cpuMs: ms } }),
  })
  const roundsOf = async (ours: number) =>
    (await alternate(bench, [fixed('Go stable', 10), fixed('standalone', ours)])).get('standalone').add.length
  t.equal(await roundsOf(5), 4)
  t.equal(await roundsOf(10), 12)
})

const side = (name: string, median: number) => ({
  name,
  runs: 3,
  median,
  p95: median,
  min: median,
  spread: 0,
  cpu: 1,
})

const results = {
  machine: {
    date: '2025-01-01',
    cpu: 'a <fast> one',
    cores: 2,
    memoryGB: 8,
    arch: 'x64',
    system: 'Debian',
    kernel: '6.1.0',
    node: 'v20',
    iptables: 'iptables',
    nft: 'nft',
    disk: 'ext4',
    load: 0.1,
    versions: {
      'Go stable': 'plugins 1.1.1-3 (Debian)',
      'Go sid': 'plugins 1.9.1+ds1-1 (Debian)',
      node: 'ours',
    },
  },
  options: { runs: 3, pods: 500, store: 'disk' },
  rows: [
    {
      id: 'bridge-add',
      title: 'bridge: ADD',
      unit: 'ms',
      base: 'Go',
      sides: [
        side('Go stable', 10),
        side('Go sid', 14),
        {
          ...side('standalone', 7),
          ratio: 0.7,
          overlaps: true,
          ratios: { 'Go stable': 0.7, 'Go sid': 0.5 },
          target: { ratio: 0.8 },
        },
        { ...side('node', 20), ratio: 2, target: { ratio: 1.5 } },
      ],
    },
  ],
  curves: [
    {
      id: 'growth-add',
      title: 'ADD of one more pod',
      x: 'pods',
      unit: 'ms',
      lines: [
        {
          name: 'Go stable',
          points: [
            { x: 0, ...side('', 60) },
            { x: 500, ...side('', 400) },
          ],
        },
      ],
    },
  ],
  phases: [],
  counts: [],
  skipped: [{ what: 'memory', reason: 'no time' }],
}

t.test('the table shows the ratio to each peer, and ratio, target and verdict of each side', async t => {
  const { formatTable } = await load('report/table.mjs')
  const lines: string[] = formatTable(results).split('\n')
  t.match(
    lines.find(line => line.includes('standalone')),
    /7\.00 ms .* 0\.70 +0\.50 +~ 0\.70 +≤ 0\.8 +✓$/,
  )
  t.match(
    lines.find(line => line.includes('node ')),
    /20\.0 ms .* 2\.00 +≤ 1\.5 +✗$/,
  )
  t.ok(
    lines.some(line => line.includes('memory: no time')),
    'it names skipped cases',
  )
})

t.test('every marker of bench/results.md is one that a run fills', async t => {
  const { sectionsOf } = await load('report/markdown.mjs')
  const text = readFileSync(join(bench, 'results.md'), 'utf8')
  const markers = [...text.matchAll(/<!-- bench: (.*) -->/g)].map(([, name]) => name)
  t.same(markers.sort(), [...sectionsOf(results).keys()].sort())
})

t.test('the drawing has a bar for each side, a line for each curve, and no raw text in it', async t => {
  const { drawReport } = await load('report/plot.mjs')
  const svg: string = drawReport(results)
  t.match(svg, /^<svg [^>]*viewBox="0 0 960 \d+/)
  t.equal(svg.match(/<polyline/g)?.length, 1)
  t.match(svg, 'a &lt;fast> one')
  t.match(svg, 'Go stable: 1.1.1, Go sid: 1.9.1')
  t.notMatch(svg, 'node: ours')
  t.notMatch(svg, 'NaN')
})
