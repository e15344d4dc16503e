import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { appendLog, maxLogBytes, oldLogOf } from '../../../src/host/log'

const linesOf = (file: string): unknown[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line).call)

t.test('a log is one JSON line a call, for its owner alone', async t => {
  const file = `${t.testdir()}/calls.log`
  for (const call of [1, 2]) appendLog({ file, level: 'info' }, { call })
  t.same(linesOf(file), [1, 2])
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.notOk(existsSync(oldLogOf(file)))
})

t.test('a full log becomes the old one, in place of the one before', async t => {
  const file = `${t.testdir()}/calls.log`
  writeFileSync(oldLogOf(file), 'older')
  writeFileSync(file, '')
  truncateSync(file, maxLogBytes - 1)
  appendLog({ file, level: 'info' }, { call: 'the last that has room' })
  t.equal(readFileSync(oldLogOf(file), 'utf8'), 'older')
  const full = statSync(file).size
  t.ok(full > maxLogBytes)
  for (const call of ['first', 'second']) appendLog({ file, level: 'info' }, { call })
  t.same(linesOf(file), ['first', 'second'])
  t.equal(statSync(oldLogOf(file)).size, full)
})

t.test('a log that cannot be written fails no call', async t => {
  const folder = t.testdir({ file: '' })
  t.doesNotThrow(() => appendLog({ file: `${folder}/file/calls.log`, level: 'info' }, { call: 1 }))
})
