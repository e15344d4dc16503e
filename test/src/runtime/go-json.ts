import t from 'tap'
import { formatGoJson, formatGoStruct } from '../../../src/runtime/json'

t.test('formatGoJson() sorts keys by their bytes and escapes what Go escapes', async t => {
  const cases: [value: unknown, json: string][] = [
    [{ b: 1, a: { d: [], c: null } }, '{"a":{"c":null,"d":[]},"b":1}'],
    // JavaScript puts keys that look like numbers first, whatever one does; Go has "10" before "9".
    [{ '9': 1, '10': 2, '-': 3 }, '{"-":3,"10":2,"9":1}'],
    [{ '\u{1f600}': 1, '\uffff': 2 }, '{"\uffff":2,"\u{1f600}":1}'],
    ['<a href="x">&\u2028\u2029é\n\t', '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\u2029é\\n\\t"'],
    [[1.5, 1e21, 1e-7, 100, true], '[1.5,1e+21,1e-7,100,true]'],
    [null, 'null'],
  ]
  for (const [value, json] of cases) t.equal(formatGoJson(value), json)
})

t.test('formatGoStruct() keeps the order and leaves out what is undefined', async t => {
  t.equal(
    formatGoStruct([
      ['z', { b: 1, a: 2 }],
      ['gone', undefined],
      ['a', ''],
    ]),
    '{"z":{"a":2,"b":1},"a":""}',
  )
})
