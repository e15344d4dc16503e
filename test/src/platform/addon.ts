/** The addon of the Node.js programs: system calls as they are, from C that is linked with nothing. */
import { execFileSync } from 'node:child_process'
import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import t from 'tap'

const calls: Record<string, (...args: unknown[]) => number> = require('#addon')

const { EBADF, EINVAL } = constants.errno
const LOCK_SH = 1
const AF_UNIX = 1
const SOCK_DGRAM = 2
const MSG_TRUNC = 0x20
const MSG_DONTWAIT = 0x40

const call = (name: string, ...args: unknown[]): number => calls[name]?.(...args) ?? Number.NaN

t.test('an answer is a count, a descriptor, or a negative errno', async t => {
  t.equal(call('flock', -1, LOCK_SH), -EBADF)
  const fd = call('socket', AF_UNIX, SOCK_DGRAM, 0)
  t.ok(fd > 2, `${fd}`)
  t.equal(call('setns', fd, 0), -EINVAL)
  // An abstract address, of which the first byte is 0: sockaddr_un(7).
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0, 0]), Buffer.from(`kubenet-addon-${process.pid}`)])
  t.equal(call('bind', fd, address, address.length), 0)
  t.equal(call('sendto', fd, Buffer.from('abcdef'), 5, 0, address, address.length), 5)
  const bytes = Buffer.alloc(3)
  t.equal(call('recvfrom', fd, bytes.subarray(1), 2, MSG_TRUNC | MSG_DONTWAIT), 5, 'the whole length')
  t.equal(bytes.toString('latin1'), '\0ab')
  closeSync(fd)
})

t.test('only numbers and bytes are arguments', async t => {
  for (const argument of ['3', null, undefined, {}])
    t.throws(() => call('flock', argument, 0), { message: 'a system call takes numbers and bytes' })
})

t.test('it needs no library but what Node.js has loaded, of glibc or of musl', async t => {
  const file = join(process.cwd(), 'dist-tools/node/calls.node')
  const symbols = execFileSync('nm', ['--dynamic', '--undefined-only', file], { encoding: 'utf8' })
  t.match(symbols, /^( +U (napi|posix_spawn)\w*\n)+$/)
  t.notMatch(execFileSync('readelf', ['--dynamic', file], { encoding: 'utf8' }), 'NEEDED')
})
