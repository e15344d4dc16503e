import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { commitAll, type Staged, stageFile, stageText } from '../../../node/conflist/staged-file'

const failing: Staged = {
  commit: () => {
    throw new Error('no')
  },
  undo: () => {},
  discard: () => {},
}

t.test('a staged file is in its place only when it is committed, and nothing stays beside it', async t => {
  const folder = t.testdir({ a: 'old' })
  const staged = [stageText(`${folder}/a`, 'new'), stageText(`${folder}/b`, 'first')]
  t.equal(readFileSync(`${folder}/a`, 'utf8'), 'old')
  t.notOk(statSync(`${folder}/b`, { throwIfNoEntry: false }))
  commitAll(staged, [folder])
  t.same(readdirSync(folder).sort(), ['a', 'b'])
  t.same([readFileSync(`${folder}/a`, 'utf8'), readFileSync(`${folder}/b`, 'utf8')], ['new', 'first'])
  t.equal(statSync(`${folder}/a`).mode & 0o777, 0o600)
})

t.test('where one cannot be put in place, all are as they were', async t => {
  const folder = t.testdir({ a: 'old' })
  const { ino } = statSync(`${folder}/a`)
  const staged = [stageText(`${folder}/a`, 'new'), stageText(`${folder}/b`, 'first'), failing]
  t.throws(() => commitAll(staged, [folder]), { message: 'no' })
  t.same(readdirSync(folder), ['a'])
  t.equal(readFileSync(`${folder}/a`, 'utf8'), 'old')
  t.equal(statSync(`${folder}/a`).ino, ino)
})

t.test('a symbolic link is replaced, not followed, and comes back', async t => {
  const folder = t.testdir({ target: 'kept' })
  symlinkSync('target', `${folder}/link`)
  t.throws(() => commitAll([stageText(`${folder}/link`, 'new'), failing], [folder]))
  t.ok(lstatSync(`${folder}/link`).isSymbolicLink())
  commitAll([stageText(`${folder}/link`, 'new')], [folder])
  t.notOk(lstatSync(`${folder}/link`).isSymbolicLink())
  t.equal(readFileSync(`${folder}/target`, 'utf8'), 'kept')
})

t.test('discarding what was never committed removes it', async t => {
  const folder = t.testdir({ temporary: 'x' })
  stageFile(`${folder}/a`, `${folder}/temporary`).discard()
  t.same(readdirSync(folder), [])
})

t.test('a text that cannot be written leaves nothing', async t => {
  const folder = t.testdir({})
  t.throws(() => stageText(`${folder}/none/a`, 'x'), { code: 'ENOENT' })
  writeFileSync(`${folder}/file`, '')
  t.throws(() => stageText(`${folder}/file/a`, 'x'), { code: 'ENOTDIR' })
  t.same(readdirSync(folder), ['file'])
})
