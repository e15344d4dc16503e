import t from 'tap'
import { countCovered, formatSpan, inSpan, parseSpan, spansOverlap } from '../../../plugins/host-local/span'
import { addr } from './fixtures/addr'

t.test('parseSpan() reads addresses, networks and spans of both families', async t => {
  const cases = new Map([
    ['10.1.2.3', '10.1.2.3-10.1.2.3'],
    ['10.1.2.0/30', '10.1.2.0-10.1.2.3'],
    ['10.1.2.3/30', '10.1.2.0-10.1.2.3'], // the network the address is of
    ['10.1.2.3-10.1.2.9', '10.1.2.3-10.1.2.9'],
    ['10.1.2.3 - 10.1.2.9', '10.1.2.3-10.1.2.9'],
    ['fd00::/127', 'fd00::-fd00::1'],
    ['fd00::1-fd00::ff', 'fd00::1-fd00::ff'],
  ])
  for (const [text, span] of cases) t.equal(formatSpan(parseSpan(text, 'exclude')), span, text)
})

t.test('parseSpan() refuses everything else with code 7, naming it', async t => {
  for (const text of [
    '',
    '10.1.2',
    '10.1.2.9-10.1.2.3', // backwards
    '10.1.2.3-fd00::1',
    '10.1.2.3-',
    '10.1.2.3-10.1.2.4-10.1.2.5',
    '10.1.2.0/33',
  ]) {
    const message = `"exclude": ${JSON.stringify(text)} is no address, network or span "first-last"`
    t.throws(() => parseSpan(text, 'exclude'), { code: 7, message }, JSON.stringify(text))
  }
})

t.test('a span has both its ends and nothing of the other family', async t => {
  const span = parseSpan('10.1.2.3-10.1.2.5', 'exclude')
  for (const text of ['10.1.2.3', '10.1.2.4', '10.1.2.5']) t.ok(inSpan(span, addr(text)), text)
  for (const text of ['10.1.2.2', '10.1.2.6', '::a01:204']) t.notOk(inSpan(span, addr(text)), text)
  t.ok(spansOverlap(span, parseSpan('10.1.2.5-10.1.2.9', 'exclude')))
  t.ok(spansOverlap(parseSpan('10.0.0.0/8', 'exclude'), span))
  t.notOk(spansOverlap(span, parseSpan('10.1.2.6', 'exclude')))
  t.notOk(spansOverlap(span, parseSpan('::/0', 'exclude')))
})

t.test('countCovered() counts every address once, and only those inside', async t => {
  const whole = parseSpan('10.1.2.10-10.1.2.19', 'exclude')
  const cases: [string[], bigint][] = [
    [[], 0n],
    [['10.1.2.12'], 1n],
    [['10.1.2.12', '10.1.2.12'], 1n],
    [['10.1.2.12-10.1.2.15', '10.1.2.14-10.1.2.16'], 5n],
    [['10.1.2.0/24', '10.1.2.14'], 10n], // one inside the other, and over both ends
    [['10.1.2.15-10.1.2.16', '10.1.2.11-10.1.2.18'], 8n],
    [['10.1.2.0-10.1.2.10', '10.1.2.19-10.1.2.30'], 2n],
    [['10.1.3.0/24', 'fd00::/64'], 0n],
  ]
  for (const [texts, count] of cases)
    t.equal(
      countCovered(
        whole,
        texts.map(text => parseSpan(text, 'exclude')),
      ),
      count,
      texts.join(' '),
    )
})
