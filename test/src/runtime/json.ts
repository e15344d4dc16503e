import fc from 'fast-check'
import t from 'tap'
import { findJsonError, formatGoJson, formatGoStruct } from '../../../src/runtime/json'

t.test('findJsonError() finds nothing in JSON', async t => {
  for (const text of [
    '{}',
    ' [ ] \n',
    '"a\\u00e9\\n\u2028"',
    '-1.5e+10',
    '{"a": [1, {"b": null}, true], "c": {}}',
    '[[[]]]',
    '0',
  ]) {
    t.equal(findJsonError(text), undefined)
  }
})

t.test('findJsonError() names line, column and what it expected', async t => {
  const cases = new Map([
    ['', '1:1 expected a value but found the end of the file'],
    ['{', '1:2 expected a key or "}" but found the end of the file'],
    ['{\n  "a": 1,\n}', '3:1 expected a key but found "}"'],
    ['{\n  "a": 1\n  "b": 2\n}', '3:3 expected "," or the closing bracket but found "\\"b\\""'],
    ['{"a" 1}', '1:6 expected ":" but found "1"'],
    ['{"a":}', '1:6 expected a value but found "}"'],
    ['[1, 2,]', '1:7 expected a value but found "]"'],
    ['[1}', '1:3 expected "," or the closing bracket but found "}"'],
    ['[,', '1:2 expected a value or "]" but found ","'],
    ['{} {}', '1:4 expected the end of the file but found "{"'],
    ['{"a": 01}', '1:7 expected a value but found "0"'],
    ['{"a": +1}', '1:7 expected a value but found "+"'],
    ['{"a": trueish}', '1:7 expected a value but found "t"'],
    ["{'a': 1}", '1:2 expected a key or "}" but found "\'"'],
    ['{\n\t// why\n}', '2:2 expected a key or "}" but found "/"'],
    [
      '["a\nb"]',
      '1:2 expected a value or "]" but found a string that is not closed or has a character it may not have',
    ],
    [
      '["\\x41"]',
      '1:2 expected a value or "]" but found a string that is not closed or has a character it may not have',
    ],
    ['\ufeff{}', '1:1 expected a value but found "\ufeff"'],
  ])
  for (const [text, expected] of cases) {
    const found = findJsonError(text)
    t.equal(`${found?.line}:${found?.column} ${found?.message}`, expected, JSON.stringify(text))
    t.throws(() => JSON.parse(text))
  }
})

t.test('findJsonError() finds a mistake exactly where JSON.parse does', async t => {
  const isJson = (text: string): boolean => {
    try {
      JSON.parse(text)
      return true
    } catch {
      return false
    }
  }
  const characters = fc.constantFrom(...'{}[],:"0123456789-+.eE\\/ntu\n\t afls\u2028\u0000')
  const almostJson = fc
    .tuple(fc.json({ maxDepth: 3 }), fc.nat(), fc.nat(2), fc.string({ unit: characters, maxLength: 2 }))
    .map(([json, at, cut, put]) => {
      const start = at % (json.length + 1)
      return json.slice(0, start) + put + json.slice(start + cut)
    })
  const agree = fc.property(almostJson, text => isJson(text) === (findJsonError(text) === undefined))
  t.doesNotThrow(() => fc.assert(agree, { numRuns: 3000 }))
})

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
