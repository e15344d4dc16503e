import { readFileSync } from 'node:fs'
import t from 'tap'
import { CliError, ExitCode, failureOf, formatFailure, usageError } from '../../../node/command/failure'
import { CniError } from '../../../src/cni/error'

const systemError = (code: string, syscall: string, paths: { path?: string; dest?: string } = {}) =>
  Object.assign(new Error(`${code}: words of node, ${syscall}`), { code, syscall, ...paths })

const line = (error: unknown) => formatFailure(failureOf(error))

t.test('a failed system call has one form, on every runtime', async t => {
  const cases: [unknown, string, number][] = [
    [systemError('ENOSPC', 'write'), 'write: no space left on device', 1],
    [
      systemError('EACCES', 'open', { path: '/etc/x' }),
      'open "/etc/x": permission denied; run it as root',
      4,
    ],
    [
      systemError('EPERM', 'rename', { path: '/a', dest: '/b' }),
      'rename "/a" to "/b": operation not permitted; run it as root',
      4,
    ],
    [systemError('EROFS', 'access', { path: '/a' }), 'write to "/a": read-only file system', 1],
  ]
  for (const [error, text, exitCode] of cases) {
    t.equal(line(error), text)
    t.equal(failureOf(error).exitCode, exitCode, text)
  }
})

t.test('the words of node itself do not come through', async t => {
  let thrown: unknown
  try {
    readFileSync('/there/is/none')
  } catch (error) {
    thrown = error
  }
  t.equal(line(thrown), 'open "/there/is/none": no such file or directory')
})

t.test('the context of a failed system call comes first', async t => {
  const error = new Error('copy the program', { cause: systemError('ENOSPC', 'write') })
  t.equal(line(error), 'copy the program: write: no space left on device')
})

t.test('a plugin’s error has its details behind it and its code in the object', async t => {
  const error = new CniError(7, 'plugin type="bridge" failed (add): no', { details: 'because' })
  t.equal(line(error), 'plugin type="bridge" failed (add): no: because')
  t.equal(failureOf(error).code, 7)
})

t.test('an errno that the message ends with is put in words', async t => {
  const error = new CniError(5, 'read /etc/x: EACCES', {
    cause: systemError('EACCES', 'open', { path: '/etc/x' }),
  })
  t.equal(line(error), 'read /etc/x: EACCES: permission denied; run it as root')
  t.equal(failureOf(error).exitCode, ExitCode.notPermitted)
})

t.test('several failures become one line', async t => {
  const error = new AggregateError([new CniError(1, 'one', { details: 'a' }), new Error('two')])
  t.equal(line(error), 'one; two: a')
})

t.test('a line break does not break the line', async t => {
  t.equal(line(new Error('first\n  second\n')), 'first; second; ')
})

t.test('a failure of the command line has its remedy and its exit code', async t => {
  const error = new CliError(ExitCode.notFound, 'no network', 'make one')
  t.equal(line(error), 'no network; make one')
  t.equal(failureOf(error).exitCode, 3)
  t.equal(failureOf(usageError('no')).exitCode, 2)
})

t.test('anything can be thrown', async t => {
  t.equal(line('text'), 'text')
  t.equal(line(undefined), 'undefined')
})
