import t from 'tap'
import { foreignAddresses, formatForeign, withoutForeign } from '../../../plugins/host-local/foreign'

const a = 'a'.repeat(24)
const b = 'b'.repeat(24)
const c = 'c'.repeat(24)

const text = formatForeign([
  { key: a, addresses: ['10.1.2.3'] },
  { key: b, addresses: ['10.1.2.4', 'fd00::4'] },
  { key: c, addresses: ['10.1.2.5'] },
])

t.test('formatForeign() writes a line for each attachment', async t => {
  t.equal(text, `${a} 10.1.2.3\n${b} 10.1.2.4 fd00::4\n${c} 10.1.2.5\n`)
  t.equal(formatForeign([]), '')
})

t.test('foreignAddresses() are those of the attachment alone', async t => {
  t.same(foreignAddresses(text, a), ['10.1.2.3'])
  t.same(foreignAddresses(text, b), ['10.1.2.4', 'fd00::4'])
  t.same(foreignAddresses(text, 'd'.repeat(24)), [])
  t.same(foreignAddresses('', a), [])
  t.same(foreignAddresses(`${a}`, a), [], 'a line that was cut off')
})

t.test('withoutForeign() takes one line out, wherever it is', async t => {
  t.equal(withoutForeign(text, a), `${b} 10.1.2.4 fd00::4\n${c} 10.1.2.5\n`)
  t.equal(withoutForeign(text, b), `${a} 10.1.2.3\n${c} 10.1.2.5\n`)
  t.equal(withoutForeign(text, c), `${a} 10.1.2.3\n${b} 10.1.2.4 fd00::4\n`)
  t.equal(withoutForeign(text, 'd'.repeat(24)), text)
})
