/** deploy/components/monitoring: what it names is what the agent says, and the alerts mean what they say. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { LoneAgent } from '../../fixtures/cluster/lone-agent'
import { manifestsOf } from '../../fixtures/cluster/manifests'
import { dashboard, namedMetrics, podMonitor, prometheusRule, seriesIn } from '../../fixtures/monitoring'
import { checkRules, metricsProblems, promtoolMissing, testRules } from '../../fixtures/promtool'

const [daemonSet] = manifestsOf('base/daemonset.yaml')

t.test('the agent says all that rules and dashboard name, and promtool has no complaint', async t => {
  const it = await LoneAgent.start(t, {
    flavour: 'standalone',
    node: { name: 'n1', podCIDRs: ['10.244.1.0/24'] },
  })
  await it.ranges('10.244.1.0/24')
  const { text } = await it.ask('/metrics')
  const series = seriesIn(text)
  const named = namedMetrics(/^(kubenet_agent|process)_/)
  t.ok(named.length > 10, 'they were found')
  t.same(
    named.filter(name => !series.has(name)),
    [],
  )
  t.match(text, 'kubenet_agent_route_changes_total{change="failed"} 0\n', 'what has not happened yet is 0')
  for (const counter of ['process_cpu_seconds_total', 'kubenet_agent_conflist_writes_total'])
    t.match(text, `# TYPE ${counter} counter\n`)
  const started = Number(/^process_start_time_seconds (\S+)$/m.exec(text)?.[1])
  t.ok(Math.abs(started - Date.now() / 1000) < 600, `${started} is the time of the start`)
  if (!promtoolMissing) t.equal(metricsProblems(text), '')
})

t.test('the monitor finds the pods, and asks where they answer', async t => {
  t.same(podMonitor.spec.selector, daemonSet.spec.selector)
  const [operations] = manifestsOf('components/monitoring/agent.yaml')
  t.same(operations, [
    { op: 'replace', path: '/spec/template/spec/containers/0/args/0', value: '--listen=:10107' },
  ])
  const [{ args, ports }] = daemonSet.spec.template.spec.containers
  t.match(args[0], /^--listen=.*:10107$/)
  t.match(ports, [{ name: podMonitor.spec.podMetricsEndpoints[0].port, containerPort: 10107 }])
})

t.test('every panel has a place, a number and a source of its own', async t => {
  const places = dashboard.panels.map(
    ({ gridPos: { x, y } }: { gridPos: Record<string, number> }) => `${x} ${y}`,
  )
  t.equal(new Set(places).size, dashboard.panels.length)
  t.equal(new Set(dashboard.panels.map(({ id }: { id: number }) => id)).size, dashboard.panels.length)
  for (const { datasource } of dashboard.panels) t.match(datasource.uid, /^\$\{datasource\}$/)
})

/** One node at a time, by the rules of an hour in which nothing changes. */
const cases: { alert: string; labels: Record<string, string>; series: Record<string, string> }[] = [
  {
    alert: 'KubenetRangeRefused',
    labels: { node: 'n1', state: 'refused' },
    series: { 'kubenet_agent_network_state{node="n1",state="refused"}': '1x90' },
  },
  {
    alert: 'KubenetRoutesMissing',
    labels: { node: 'n1' },
    series: {
      'kubenet_agent_routes{node="n1",state="installed"}': '7x90',
      'kubenet_agent_routes{node="n1",state="occupied"}': '1x90',
      'kubenet_agent_routes{node="n1",state="unreachable"}': '0x90',
    },
  },
  {
    alert: 'KubenetAddressesRunOut',
    labels: { instance: 'a', network: 'kubenet', ranges: 'r' },
    series: {
      'kubenet_addresses{instance="a",network="kubenet",ranges="r",state="free"}': '20x90',
      'kubenet_addresses{instance="a",network="kubenet",ranges="r",state="used"}': '233x90',
      'kubenet_addresses{instance="b",network="kubenet",ranges="r",state="free"}': '200x90',
      'kubenet_addresses{instance="b",network="kubenet",ranges="r",state="used"}': '53x90',
    },
  },
  {
    alert: 'KubenetCallsFail',
    labels: { instance: 'a' },
    series: {
      'kubenet_calls_total{instance="a",plugin="kubenet",command="ADD",result="error"}': '0+1x90',
      'kubenet_calls_total{instance="b",plugin="kubenet",command="ADD",result="ok"}': '0+9x90',
    },
  },
  {
    alert: 'KubenetCallsSlow',
    labels: { instance: 'a', command: 'ADD' },
    series: {
      'kubenet_call_duration_seconds_bucket{instance="a",plugin="kubenet",command="ADD",le="5"}': '0+1x90',
      'kubenet_call_duration_seconds_bucket{instance="a",plugin="kubenet",command="ADD",le="10"}': '0+2x90',
      'kubenet_call_duration_seconds_bucket{instance="a",plugin="kubenet",command="ADD",le="+Inf"}': '0+2x90',
    },
  },
]

t.test('the alerts come where they are due, by promtool', { skip: promtoolMissing }, async t => {
  const folder = t.testdir({})
  writeFileSync(`${folder}/rules.json`, JSON.stringify(prometheusRule.spec))
  t.match(
    checkRules(`${folder}/rules.json`),
    `SUCCESS: ${prometheusRule.spec.groups.flatMap(({ rules }: { rules: unknown[] }) => rules).length} rules found`,
  )
  for (const { alert, labels, series } of cases) {
    const tests = {
      rule_files: ['rules.json'],
      tests: [
        {
          interval: '1m',
          input_series: Object.entries(series).map(([series, values]) => ({
            series,
            values: /^\d+x/.test(values) ? values.replace('x', '+0x') : values,
          })),
          // The texts are not compared: which of them is sent is.
          promql_expr_test: [
            {
              expr: `count by (alertname, alertstate, ${Object.keys(labels).join(', ')}) (ALERTS{alertname="${alert}", alertstate="firing"})`,
              eval_time: '80m',
              exp_samples: [
                {
                  labels: `{${Object.entries({ ...labels, alertname: alert, alertstate: 'firing' })
                    .map(([key, value]) => `${key}="${value}"`)
                    .join(',')}}`,
                  value: 1,
                },
              ],
            },
          ],
        },
      ],
    }
    t.equal(testRules(folder, tests), '', alert)
  }
})
