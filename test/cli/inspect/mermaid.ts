import t from 'tap'
import { formatMermaid } from '../../../cli/inspect/mermaid'
import type { Scene, ScenePod } from '../../../cli/inspect/scene'
import { readFlowchart } from '../../fixtures/mermaid'

const pod = (name: string, more: Partial<ScenePod> = {}): ScenePod => ({
  name,
  addresses: ['10.244.1.2', 'fd00:244:1::2'],
  veth: 'veth1',
  ports: [],
  limit: '',
  faults: [],
  doubt: '',
  ...more,
})

const scene = (more: Partial<Scene> = {}): Scene => ({
  host: 'node1',
  uplinks: [{ name: 'eth0', addresses: ['192.0.2.1/24'], mtu: 1500 }],
  bridges: [],
  leftovers: [],
  ...more,
})

const bridge = (name: string, pods: ScenePod[]) => ({
  ...{ name, addresses: ['10.244.1.1/24'], mtu: 1500, networks: ['pods'], pods },
})

t.test('a node is a flowchart of uplinks, bridges, pods and what was left behind', async t => {
  const web = pod('default/web', {
    ports: [{ from: '8080', to: '80/tcp' }],
    limit: '10M/20M',
    faults: ['mtu-differs'],
  })
  const { nodes, subgraphs, edges } = readFlowchart(
    formatMermaid(
      scene({
        bridges: [
          bridge('cbr0', [web, pod('api', { veth: '', doubt: 'state unknown' })]),
          bridge('cni0', []),
        ],
        leftovers: [{ owner: 'gone', objects: ['lease 10.244.1.9'] }],
      }),
    ),
  )
  t.same(Object.fromEntries(nodes), {
    outside: ['outside'],
    uplink0: ['eth0', '192.0.2.1/24', 'MTU 1500'],
    bridge0: ['bridge cbr0', '10.244.1.1/24', 'MTU 1500'],
    pod0_0: ['default/web', '10.244.1.2', 'fd00:244:1::2', 'limit 10M/20M', 'mtu-differs'],
    pod0_1: ['api', '10.244.1.2', 'fd00:244:1::2', 'state unknown'],
    bridge1: ['bridge cni0', '10.244.1.1/24', 'MTU 1500'],
    left0: ['gone', 'lease 10.244.1.9'],
  })
  t.same(Object.fromEntries(subgraphs), { host: ['node1'], leftovers: ['left behind'] })
  t.same(edges, [
    { from: 'outside', to: 'uplink0', text: '' },
    { from: 'uplink0', to: 'bridge0', text: '' },
    { from: 'uplink0', to: 'bridge1', text: '' },
    { from: 'bridge0', to: 'pod0_0', text: 'veth1' },
    { from: 'outside', to: 'pod0_0', text: '8080 → 80/tcp' },
    { from: 'bridge0', to: 'pod0_1', text: '' },
  ])
})

t.test('every name that the kernel allows is shown unchanged', async t => {
  for (const name of [
    ...[
      'end',
      'subgraph',
      'click',
      '"',
      '""',
      '#',
      '#quot;',
      '#35;',
      '<br/>',
      '<b>',
      '&lt;',
      '`md`',
      '["a"]',
    ],
    ...['a|b', '%%{init: {}}%%', 'a;b', 'x-->y', ':::fault', '$(id)', '\\"', 'ünï→码', '((', '---'],
  ]) {
    const odd = scene({
      host: name,
      bridges: [bridge(name, [pod(name, { veth: name, ports: [{ from: name, to: '80/tcp' }] })])],
      leftovers: [{ owner: '', objects: [name] }],
    })
    const { nodes, subgraphs, edges } = readFlowchart(formatMermaid(odd))
    t.same(
      [
        subgraphs.get('host')?.[0],
        nodes.get('bridge0')?.[0],
        nodes.get('pod0_0')?.[0],
        nodes.get('left0')?.[0],
        edges.find(({ from }) => from === 'bridge0')?.text,
        edges.find(({ to, from }) => from === 'outside' && to === 'pod0_0')?.text,
      ],
      [name, `bridge ${name}`, name, name, name, `${name} → 80/tcp`],
      name,
    )
  }
  const { nodes } = readFlowchart(
    formatMermaid(scene({ bridges: [bridge('b', [pod('two\nlines\u001b[31m')])] })),
  )
  t.equal(nodes.get('pod0_0')?.[0], 'two\\u000alines\\u001b[31m', 'without terminal control characters')
})

t.test('the grammar refuses what Mermaid would draw wrong, or not at all', async t => {
  const chart = (...lines: string[]): string =>
    ['flowchart TB', ...lines.map(line => `  ${line}`), ''].join('\n')
  t.ok(readFlowchart(chart('a["x"]', 'b["y"]', 'a --- b')))
  const broken: [string, RegExp][] = [
    [chart('end["x"]'), /no id: end/],
    [chart('a-b["x"]'), /no id: a-b/],
    [chart('a["say "hi""]'), /no statement/],
    [chart('a["#1"]'), /begins no entity/],
    [chart('a["#nbsp;"]'), /no entity/],
    [chart('a["<i>"]'), /does not take/],
    [chart('a["`b`"]'), /does not take/],
    [chart('a["x"]', 'a["y"]'), /declared twice/],
    [chart('a["x"]', 'a --- b'), /an edge of no node/],
    [chart('a["x"]:::red'), /no class: red/],
    [chart('subgraph s["x"]'), /without an end/],
    [chart('a["x"]', 'end'), /an end of nothing/],
    [chart('a["x"] b["y"]'), /no statement/],
    ['graph TB\n', /no flowchart/],
    ['flowchart TB\n  a["x"]', /has no end/],
  ]
  for (const [source, says] of broken) t.throws(() => readFlowchart(source), { message: says }, source)
})
