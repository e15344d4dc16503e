import t from 'tap'
import { LineReader, ListReader } from '../../../agent/api/streams'

const readLines = (text: string, size: number): unknown[] => {
  const found: unknown[] = []
  const reader = new LineReader(line => found.push(line))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
  return found
}

t.test('LineReader answers every line once it is whole, wherever the chunks end', async t => {
  for (const size of [1, 2, 5, 1000]) {
    t.same(readLines('{"a":"ü"}\n\n  \n{"b":2}\r\n{"c":', size), [{ a: 'ü' }, { b: 2 }], `chunks of ${size}`)
  }
})

t.test('LineReader throws on a line that is no JSON, or longer than any event', async t => {
  t.throws(() => readLines('{"a":1}\n{"a\n', 3), SyntaxError)
  t.throws(() => readLines('x'.repeat(9 * 1024 * 1024), 1024 * 1024), { message: /is over 8388608 bytes$/ })
})

const items = [
  { metadata: { name: 'n1' }, note: 'brackets ]}{[, a "quote", a backslash \\ and ü' },
  { items: [{ items: [] }], deep: { items: [[1], {}] } },
  {},
]
const list = {
  kind: 'NodeList',
  metadata: { resourceVersion: '7', items: 'no' },
  items,
  trailing: { items: [1] },
}

const readList = (text: string, size: number) => {
  const found: unknown[] = []
  const reader = new ListReader(item => found.push(item))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
  return { found, envelope: reader.end() }
}

t.test('ListReader finds every item, wherever the chunks end', async t => {
  for (const text of [JSON.stringify(list), JSON.stringify(list, null, 2)]) {
    for (const size of [1, 2, 3, 7, 64, 10_000]) {
      const { found, envelope } = readList(text, size)
      t.same(found, items, `chunks of ${size}`)
      t.same(envelope, { ...list, items: [] }, `the rest, in chunks of ${size}`)
    }
  }
})

t.test('ListReader knows an empty list, and none at all', async t => {
  t.same(readList('{"items":[],"metadata":{"resourceVersion":"1"}}', 5).found, [])
  t.same(readList('{"metadata":{},"items":null}', 5), { found: [], envelope: { metadata: {}, items: null } })
})

t.test('ListReader throws on a list that ends in its middle or is no JSON', async t => {
  const text = JSON.stringify(list)
  t.throws(() => readList(text.slice(0, 40), 40), { message: 'the list is incomplete' })
  t.throws(() => readList('{"items":[{"a":}]}', 4), SyntaxError)
  t.throws(() => readList('{"items":[],}', 4), SyntaxError)
})

t.test('ListReader refuses an item that is larger than any object can be', async t => {
  const reader = new ListReader(() => {})
  reader.push(Buffer.from('{"items":[{"a":"'))
  const mebi = Buffer.alloc(1024 * 1024, 'x')
  t.throws(
    () => {
      for (let i = 0; i < 9; i++) reader.push(mebi)
    },
    { message: 'an item of the list is over 8388608 bytes' },
  )
})
