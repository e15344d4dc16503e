import t from 'tap'
import { printable, printableLines } from '../../../src/host/output'

t.test('control characters are escaped, as in JSON', async t => {
  const names: [string, string][] = [
    ['veth1a2b', 'veth1a2b'],
    ['a\u001b[31mb\u0007', 'a\\u001b[31mb\\u0007'],
    ['\u007f\u0085\u009b', '\\u007f\\u0085\\u009b'],
    ['x\u202ey\u2066z\u2069', 'x\\u202ey\\u2066z\\u2069'],
    ['\u2028\u2029\u200e\u200f\u061c', '\\u2028\\u2029\\u200e\\u200f\\u061c'],
    ['tab\tand\r\nend', 'tab\\u0009and\\u000d\\u000aend'],
    ['Grüße, 网络 →…', 'Grüße, 网络 →…'],
  ]
  for (const [name, shown] of names) t.equal(printable(name), shown)
})

t.test('lines keep their ends', async t => {
  t.equal(printableLines('one\u001b\n\ttwo\n'), 'one\\u001b\n\\u0009two\n')
})

t.test('JSON stays the same value', async t => {
  const value = { name: 'a\u001b\u007f\u202e\n' }
  t.same(JSON.parse(printableLines(JSON.stringify(value, null, 2))), value)
})
