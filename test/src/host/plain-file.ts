import { execFileSync } from 'node:child_process'
import { symlinkSync, truncateSync } from 'node:fs'
import t from 'tap'
import { readAdvice, readPlainFile } from '../../../src/host/plain-file'

const remedy = 'find its origin, then move it away or remove it'

/** A path of its own length would be too long for a socket. */
const makeSocket = (folder: string) =>
  execFileSync(
    'perl',
    ['-MIO::Socket::UNIX', '-e', 'IO::Socket::UNIX->new(Listen => 1, Local => "socket")'],
    {
      cwd: folder,
    },
  )

t.test('readPlainFile() reads files, and names what else has their place', async t => {
  const folder = t.testdir({ file: 'text', empty: '', below: {}, huge: '' })
  symlinkSync('file', `${folder}/link`)
  symlinkSync('none', `${folder}/dangling`)
  execFileSync('mkfifo', [`${folder}/pipe`])
  truncateSync(`${folder}/huge`, 2 ** 30)
  makeSocket(folder)
  t.equal(readPlainFile(`${folder}/file`), 'text')
  t.equal(readPlainFile(`${folder}/empty`), '')
  t.equal(readPlainFile(`${folder}/none`), undefined)
  t.equal(readPlainFile(`${folder}/file/below`), undefined)
  for (const [name, what] of [
    ['link', 'is a symbolic link, not a regular file'],
    ['dangling', 'is a symbolic link, not a regular file'],
    ['below', 'is a folder, not a regular file'],
    ['pipe', 'is a named pipe, not a regular file'],
    ['socket', 'is a socket, not a regular file'],
    ['huge', 'has 1073741824 bytes, and more than 4194304 are not read'],
  ] as const) {
    const path = `${folder}/${name}`
    t.throws(() => readPlainFile(path), { message: `"${path}" ${what}`, details: remedy }, name)
    t.equal(readAdvice(path), undefined, name)
  }
  t.throws(() => readPlainFile('/dev/null'), { message: '"/dev/null" is a device, not a regular file' })
})

t.test('readPlainFile() follows links only on request', async t => {
  const folder = t.testdir({ file: 'text' })
  symlinkSync('file', `${folder}/link`)
  symlinkSync('none', `${folder}/dangling`)
  execFileSync('mkfifo', [`${folder}/pipe`])
  symlinkSync('pipe', `${folder}/to-pipe`)
  t.equal(readPlainFile(`${folder}/link`, { followLinks: true }), 'text')
  t.equal(readPlainFile(`${folder}/dangling`, { followLinks: true }), undefined)
  t.throws(() => readPlainFile(`${folder}/to-pipe`, { followLinks: true }), {
    message: `"${folder}/to-pipe" is a named pipe, not a regular file`,
  })
})

t.test('readPlainFile() has a limit of its own for each kind of file', async t => {
  const folder = t.testdir({ file: '12345' })
  t.equal(readPlainFile(`${folder}/file`, { maxBytes: 5 }), '12345')
  t.throws(() => readPlainFile(`${folder}/file`, { maxBytes: 4 }), {
    code: 'EFBIG',
    message: `"${folder}/file" has 5 bytes, and more than 4 are not read`,
  })
})
