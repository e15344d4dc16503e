import t from 'tap'
import { LineReader } from '../../../agent/api/streams'

const readIn = (text: string, size: number): unknown[] => {
  const found: unknown[] = []
  const reader = new LineReader(line => found.push(line))
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
  return found
}

t.test('LineReader answers every line once it is whole, wherever the chunks end', async t => {
  for (const size of [1, 2, 5, 1000]) {
    t.same(readIn('{"a":"ü"}\n\n  \n{"b":2}\r\n{"c":', size), [{ a: 'ü' }, { b: 2 }], `chunks of ${size}`)
  }
})

t.test('LineReader throws on a line that is no JSON, or longer than any event', async t => {
  t.throws(() => readIn('{"a":1}\n{"a\n', 3), SyntaxError)
  t.throws(() => readIn('x'.repeat(9 * 1024 * 1024), 1024 * 1024), { message: /is over 8388608 bytes$/ })
})
