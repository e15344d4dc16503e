import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { flavourOf, isOurs } from '../../../cli/frame/program-file'
import { copyProgram, isSameContent } from '../../../cli/install/copy-program'
import { fakeIo } from '../fixtures/cli'

const mark = '(kubenet-cni)'

t.test('the first bytes tell the kind of an executable', async t => {
  const folder = t.testdir({ script: '#!/usr/bin/env node\n', elf: '\u007fELF...', text: 'hello', empty: '' })
  const kinds = ['script', 'elf', 'text', 'empty', 'none'].map(name => flavourOf(`${folder}/${name}`))
  t.same(kinds, ['node', 'standalone', undefined, undefined, undefined])
})

t.test('a file of ours is found by its mark, also across the border of two chunks', async t => {
  const folder = t.testdir({ foreign: 'x'.repeat(100) })
  t.notOk(isOurs(`${folder}/foreign`))
  const chunk = 1024 * 1024
  for (const at of [0, 1, chunk - mark.length, chunk - 5, chunk - 1, chunk, 3 * chunk - 7]) {
    writeFileSync(`${folder}/ours`, `${'x'.repeat(at)}${mark}tail`)
    t.ok(isOurs(`${folder}/ours`), `mark at ${at}`)
  }
})

t.test('isSameContent() compares bytes', async t => {
  const folder = t.testdir({ a: 'one', b: 'one', c: 'two', d: 'longer' })
  t.same(
    ['b', 'c', 'd'].map(name => isSameContent(`${folder}/a`, `${folder}/${name}`)),
    [true, false, false],
  )
})

t.test('copyProgram() copies to a new executable, and leaves nothing if it cannot', async t => {
  const folder = t.testdir({ program: 'bytes', taken: 'old' })
  chmodSync(`${folder}/program`, 0o600)
  const { io } = fakeIo()
  await copyProgram(`${folder}/program`, `${folder}/copy`, io)
  t.ok(isSameContent(`${folder}/program`, `${folder}/copy`))
  t.equal(statSync(`${folder}/copy`).mode & 0o777, 0o755)
  await t.rejects(copyProgram(`${folder}/program`, `${folder}/taken`, io), { code: 'EEXIST' })
  t.equal(readFileSync(`${folder}/taken`, 'utf8'), 'old')
  await t.rejects(copyProgram(folder, `${folder}/of-a-folder`, io), { message: /^copy / })
  t.notOk(existsSync(`${folder}/of-a-folder`))
})
