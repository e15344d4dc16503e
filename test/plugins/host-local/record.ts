import { readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import {
  type AttachmentRecord,
  foreignAddresses,
  formatForeign,
  RecordStore,
  withoutForeign,
} from '../../../plugins/host-local/record'
import { leaseKeyOf } from '../../../src/attachment/lease'

const c1 = { containerID: 'c1', ifName: 'eth0' }

const record: AttachmentRecord = {
  ...c1,
  leases: { '10.1.2.3': '17:1700000000000' },
  netns: { path: '/run/netns/a', dev: 4, ino: 4026532401 },
  host: 'node-1',
  bootID: '0f0f0f0f-1111-2222-3333-444444444444',
  time: 1700000000000,
}

t.test('leaseKeyOf() is 24 hex digits that tell attachments apart', async t => {
  t.equal(leaseKeyOf(c1), '71eac2c1e7fdd98f6a9b1409')
  const owners = [
    c1,
    { containerID: 'c1', ifName: 'eth1' },
    { containerID: 'c1', ifName: undefined },
    { containerID: 'c1eth0', ifName: undefined },
  ]
  t.equal(new Set(owners.map(leaseKeyOf)).size, owners.length)
})

t.test('a record comes back as it was written, in a file and a folder for root alone', async t => {
  const records = new RecordStore(t.testdir(), 'net')
  const key = leaseKeyOf(c1)
  t.same([records.has(key), records.read(key), records.keys()], [false, undefined, []])
  records.ensure()
  records.write({ ...record, leases: { ...record.leases, 'fd00::3': '18:1700000000000' } })
  records.write(record)
  t.same([records.has(key), records.read(key), records.keys()], [true, record, [key]])
  t.equal(statSync(records.folder).mode & 0o777, 0o700)
  t.equal(statSync(`${records.folder}/${key}`).mode & 0o777, 0o600)
  records.remove(key)
  records.remove(key)
  t.same(readdirSync(records.folder), [])
})

t.test('a record that is torn, foreign or a link is there, but is not believed', async t => {
  const records = new RecordStore(t.testdir(), 'net')
  records.ensure()
  const key = leaseKeyOf(c1)
  const whole = JSON.stringify(record)
  for (const text of ['', whole.slice(0, -20), '{}', 'null', '[]', whole.replace('"c1"', '1')]) {
    writeFileSync(`${records.folder}/${key}`, text)
    t.same([records.has(key), records.read(key)], [true, undefined], text)
  }
  records.remove(key)
  writeFileSync(`${records.folder}/elsewhere`, whole)
  symlinkSync('elsewhere', `${records.folder}/${key}`)
  t.equal(records.read(key), undefined)
})

t.test('the list of foreign leases is read back, and its file is removed when empty', async t => {
  const records = new RecordStore(t.testdir(), 'net')
  records.ensure()
  t.equal(records.readForeign(), '')
  for (const text of ['a longer text\n', 'short\n']) {
    records.writeForeign(text)
    t.equal(records.readForeign(), text)
  }
  t.same(records.keys(), [], 'it is no record')
  records.writeForeign('')
  records.writeForeign('')
  t.same(readdirSync(records.folder), [])
})

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
