import { mkdirSync, statSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { isSealed, seal } from '../../../plugins/host-local/seal'

const bootID = '12345678-1111-2222-3333-444444444444'
const laterBoot = '12345688-1111-2222-3333-444444444444'

t.test('a seal holds until an entry of the folder is made, replaced or removed', async t => {
  const folder = t.testdir({ lease: 'c1' })
  t.notOk(isSealed(folder, bootID), 'a folder that nobody sealed')
  for (const change of [
    () => writeFileSync(`${folder}/new`, ''),
    () => unlinkSync(`${folder}/new`),
    () => mkdirSync(`${folder}/below`),
    () => symlinkSync('lease', `${folder}/link`),
  ]) {
    seal(folder, bootID)
    t.ok(isSealed(folder, bootID))
    change()
    t.notOk(isSealed(folder, bootID), change.toString())
  }
})

t.test('a seal is a second between 2000 and 2009 that depends on the boot', async t => {
  const folder = t.testdir()
  seal(folder, bootID)
  // 0x1234567 seconds after 2000-01-01.
  t.equal(statSync(folder).mtime.toISOString(), '2000-08-08T22:25:43.000Z')
  t.notOk(isSealed(folder, laterBoot))
  seal(folder, laterBoot)
  t.ok(isSealed(folder, laterBoot))
  seal(folder, 'ffffffff')
  t.equal(statSync(folder).mtime.getUTCFullYear(), 2008)
})

t.test('a folder is not sealed if it is not there, or if its time is off by a millisecond', async t => {
  const folder = t.testdir({ file: '' })
  t.notOk(isSealed(`${folder}/none`, bootID))
  t.notOk(isSealed(`${folder}/file/none`, bootID))
  seal(folder, bootID)
  utimesSync(folder, 0, statSync(folder).mtimeMs / 1000 + 0.001)
  t.notOk(isSealed(folder, bootID))
})
