import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
} from 'node:fs'
import t from 'tap'
import {
  ensureFolder,
  readPlainFile,
  removeFile,
  rewriteFile,
  writeNewFile,
} from '../../../plugins/host-local/file'

t.test('readPlainFile() reads files and nothing else', async t => {
  const folder = t.testdir({ file: 'text', below: {}, secret: 'secret', huge: '' })
  symlinkSync('secret', `${folder}/link`)
  execFileSync('mkfifo', [`${folder}/pipe`])
  t.equal(readPlainFile(`${folder}/file`), 'text')
  truncateSync(`${folder}/huge`, 2 ** 30)
  for (const name of ['none', 'link', 'below', 'pipe', 'huge'])
    t.equal(readPlainFile(`${folder}/${name}`), undefined, name)
})

t.test('writeNewFile() makes a file for root alone, and never replaces one', async t => {
  const folder = t.testdir()
  writeNewFile(`${folder}/new`, 'c1\r\neth0')
  t.equal(readFileSync(`${folder}/new`, 'utf8'), 'c1\r\neth0')
  t.equal(statSync(`${folder}/new`).mode & 0o777, 0o600)
  t.throws(() => writeNewFile(`${folder}/new`, 'other'), { code: 'EEXIST' })
  t.equal(readFileSync(`${folder}/new`, 'utf8'), 'c1\r\neth0')
})

t.test('rewriteFile() replaces longer and shorter contents, but not what a link points to', async t => {
  const folder = t.testdir({ victim: 'untouched' })
  const path = `${folder}/last_reserved_ip.0`
  for (const content of ['10.1.2.3', '10.1.2.254', '10.1.2.9']) {
    rewriteFile(path, content)
    t.equal(readFileSync(path, 'utf8'), content)
  }
  t.equal(statSync(path).mode & 0o777, 0o600)
  removeFile(path)
  symlinkSync('victim', path)
  rewriteFile(path, '10.1.2.4')
  t.equal(readFileSync(`${folder}/victim`, 'utf8'), 'untouched')
  t.ok(lstatSync(path).isFile())
})

t.test('removeFile() removes a link, not what it points to, and minds nothing that is not there', async t => {
  const folder = t.testdir({ victim: '' })
  symlinkSync('victim', `${folder}/link`)
  removeFile(`${folder}/link`)
  removeFile(`${folder}/link`)
  t.same(readdirSync(folder), ['victim'])
})

t.test('ensureFolder() makes a folder with all above it, and accepts a link to one', async t => {
  const folder = t.testdir({ elsewhere: {}, file: '' })
  ensureFolder(`${folder}/a/b/c`, 0o700)
  t.equal(statSync(`${folder}/a/b/c`).mode & 0o777, 0o700)
  ensureFolder(`${folder}/a/b/c`, 0o700)
  symlinkSync('elsewhere', `${folder}/link`)
  ensureFolder(`${folder}/link/net`, 0o755)
  t.ok(existsSync(`${folder}/elsewhere/net`))
  mkdirSync(`${folder}/with//slash`, { recursive: true })
  ensureFolder(`${folder}/with//slash/net`, 0o755)
  t.ok(existsSync(`${folder}/with/slash/net`))
  t.throws(() => ensureFolder(`${folder}/file/below`, 0o700), { code: 'ENOTDIR' })
  t.throws(() => ensureFolder(`${folder}/file`, 0o700), { code: 'EEXIST' })
})
