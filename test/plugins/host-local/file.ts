import { execFileSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import {
  ensureFolder,
  isClean,
  markClean,
  removeFile,
  rewriteFile,
  writeNewFile,
} from '../../../plugins/host-local/file'

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

/** A path of its own length would be too long for a socket. */
const makeSocket = (folder: string) =>
  execFileSync(
    'perl',
    ['-MIO::Socket::UNIX', '-e', 'IO::Socket::UNIX->new(Listen => 1, Local => "socket")'],
    {
      cwd: folder,
    },
  )

t.test('rewriteFile() replaces what is no file of its name, and waits for no reader', async t => {
  const folder = t.testdir({ full: {} })
  makeSocket(folder)
  execFileSync('mkfifo', [`${folder}/pipe`, `${folder}/read`])
  const reader = openSync(`${folder}/read`, constants.O_RDONLY | constants.O_NONBLOCK)
  for (const name of ['pipe', 'read', 'socket']) {
    rewriteFile(`${folder}/${name}`, '10.1.2.3')
    t.ok(lstatSync(`${folder}/${name}`).isFile(), name)
    t.equal(readFileSync(`${folder}/${name}`, 'utf8'), '10.1.2.3', name)
  }
  closeSync(reader)
  t.throws(() => rewriteFile(`${folder}/full`, '10.1.2.3'), {
    code: 5,
    message: `host-local: "${folder}/full" is a folder, not a file`,
  })
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

const bootID = '12345678-1111-2222-3333-444444444444'
const laterBoot = '12345688-1111-2222-3333-444444444444'

t.test('a mark holds until an entry of the folder is made, replaced or removed', async t => {
  const folder = t.testdir({ lease: 'c1' })
  t.notOk(isClean(folder, bootID), 'a folder without a mark')
  for (const change of [
    () => writeFileSync(`${folder}/new`, ''),
    () => unlinkSync(`${folder}/new`),
    () => mkdirSync(`${folder}/below`),
    () => symlinkSync('lease', `${folder}/link`),
  ]) {
    markClean(folder, bootID)
    t.ok(isClean(folder, bootID))
    change()
    t.notOk(isClean(folder, bootID), change.toString())
  }
})

t.test('a mark is a second between 2000 and 2009 that depends on the boot', async t => {
  const folder = t.testdir()
  markClean(folder, bootID)
  // 0x1234567 seconds after 2000-01-01.
  t.equal(statSync(folder).mtime.toISOString(), '2000-08-08T22:25:43.000Z')
  t.notOk(isClean(folder, laterBoot))
  markClean(folder, laterBoot)
  t.ok(isClean(folder, laterBoot))
  markClean(folder, 'ffffffff')
  t.equal(statSync(folder).mtime.getUTCFullYear(), 2008)
})

t.test('a folder is not clean if it is not there, or if its time is off by a millisecond', async t => {
  const folder = t.testdir({ file: '' })
  t.notOk(isClean(`${folder}/none`, bootID))
  t.notOk(isClean(`${folder}/file/none`, bootID))
  markClean(folder, bootID)
  utimesSync(folder, 0, statSync(folder).mtimeMs / 1000 + 0.001)
  t.notOk(isClean(folder, bootID))
})
