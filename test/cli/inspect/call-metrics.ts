/** The counters of a node's calls go on from file to file, whatever the log has forgotten meanwhile. */
import t from 'tap'
import { formatCallMetrics } from '../../../cli/inspect/call-metrics'

const call = (time: string, more = {}) => ({
  time: `2026-03-01T10:00:${time}Z`,
  plugin: 'kubenet',
  command: 'ADD',
  network: 'pods',
  containerID: 'c',
  ifName: 'eth0',
  ms: 30,
  ...more,
})

const now = Date.parse('2026-03-01T11:00:00Z')

const valueIn = (text: string, series: string): number =>
  Number(
    text
      .split('\n')
      .find(line => line.startsWith(`${series} `))
      ?.slice(series.length + 1),
  )

const ok = 'kubenet_calls_total{plugin="kubenet",command="ADD",result="ok"}'
const bucket = (end: string) =>
  `kubenet_call_duration_seconds_bucket{plugin="kubenet",command="ADD",le="${end}"}`

const first = formatCallMetrics([call('01.000'), call('02.500', { ms: 700 })], '', now)

t.test('each call is counted, and in each bucket that it fits', async t => {
  t.equal(valueIn(first, ok), 2)
  t.same(
    ['0.025', '0.05', '0.5', '1', '+Inf'].map(end => valueIn(first, bucket(end))),
    [0, 1, 1, 2, 2],
  )
  t.equal(valueIn(first, 'kubenet_call_duration_seconds_sum{plugin="kubenet",command="ADD"}'), 0.73)
  t.equal(valueIn(first, 'kubenet_newest_call_time_seconds'), Date.parse('2026-03-01T10:00:02.500Z') / 1000)
})

t.test('a call that the last file counted is not counted again', async t => {
  t.equal(formatCallMetrics([call('01.000'), call('02.500', { ms: 700 })], first, now), first)
  const later = formatCallMetrics([call('02.500', { ms: 700 }), call('02.501')], first, now)
  t.equal(valueIn(later, ok), 3)
  t.equal(valueIn(later, bucket('0.05')), 2)
})

t.test('a log that is gone takes nothing away', async t => t.equal(formatCallMetrics([], first, now), first))

t.test('without a log and a file there are no counters', async t =>
  t.equal(formatCallMetrics([], '', now), ''),
)

t.test('after a file of a time to come, or one that is none, counting begins again', async t => {
  for (const before of [
    first.replace(/^(kubenet_newest\S+) .*/m, '$1 99999999999'),
    'kubenet_calls_total{ 1\n',
  ])
    t.equal(valueIn(formatCallMetrics([call('01.000')], before, now), ok), 1)
})

t.test('labels keep what a log has in its names', async t => {
  const odd = formatCallMetrics([call('01.000', { plugin: 'a"b\\c\nd' })], '', now)
  t.match(odd, 'kubenet_calls_total{plugin="a\\"b\\\\c\\nd",command="ADD",result="ok"} 1\n')
  t.equal(formatCallMetrics([], odd, now), odd)
})
