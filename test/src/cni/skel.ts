import t from 'tap'
import { CniError } from '../../../src/cni/error'
import type { Plugin } from '../../../src/cni/plugin'
import { answerCall } from '../../../src/cni/skel'
import { specVersions } from '../../../src/cni/version'

const nothing = async () => {}

/** A plugin that does nothing, except for what a test replaces. */
const plugin = (parts: Partial<Plugin> = {}): Plugin => ({
  name: 'test',
  versions: specVersions,
  add: async () => ({ interfaces: [], ips: [], routes: [], dns: {} }),
  check: nothing,
  del: nothing,
  gc: nothing,
  status: nothing,
  ...parts,
})

const env = {
  CNI_COMMAND: 'DEL',
  CNI_CONTAINERID: 'c1',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
}

const answer = (
  parts: Partial<Plugin>,
  change: Record<string, string>,
  conf: unknown = { name: 'net', cniVersion: '1.1.0' },
) =>
  answerCall(plugin(parts), new Map(), { ...env, ...change }, () =>
    typeof conf === 'string' ? conf : JSON.stringify(conf),
  )

t.test('without a command it says what it is on stderr and succeeds', async t => {
  const { stdout, stderr, exitCode } = await answer({}, { CNI_COMMAND: '' })
  t.same([stdout, exitCode], ['', 0])
  t.match(stderr, /^CNI test plugin .*\nCNI protocol versions supported: 0\.1\.0, .*1\.1\.0\n$/)
})

t.test('VERSION answers without reading stdin', async t => {
  const unread = () => {
    throw new Error('stdin was read')
  }
  const { stdout, exitCode } = await answerCall(plugin(), new Map(), { CNI_COMMAND: 'VERSION' }, unread)
  t.equal(exitCode, 0)
  t.same(JSON.parse(stdout), {
    cniVersion: '1.1.0',
    supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
  })
})

t.test('DEL, CHECK, GC and STATUS print nothing when they succeed', async t => {
  for (const command of ['DEL', 'GC', 'STATUS']) {
    t.same(await answer({}, { CNI_COMMAND: command }), { stdout: '', stderr: '', exitCode: 0 }, command)
  }
})

t.test('each verb is refused with code 1 before the version that has it', async t => {
  const cases = [
    ['CHECK', '0.3.1', 'config version does not allow CHECK'],
    ['GC', '1.0.0', 'config version does not allow GC'],
    ['STATUS', '1.0.0', 'config version does not allow STATUS'],
    ['DEL', '2.0.0', 'incompatible CNI versions'],
    ['DEL', 'x', 'incompatible CNI versions'],
  ] as const
  for (const [command, cniVersion, msg] of cases) {
    const { stdout, exitCode } = await answer(
      {},
      { CNI_COMMAND: command, CNI_NETNS: '/run/netns/a' },
      { name: 'net', cniVersion },
    )
    t.equal(exitCode, 1)
    t.match(JSON.parse(stdout), { code: 1, msg }, `${command} ${cniVersion}`)
  }
})

t.test('a plugin that does not speak an old version refuses it with code 1', async t => {
  const { stdout } = await answer({ versions: ['0.4.0', '1.0.0'] }, {}, { name: 'net', cniVersion: '0.3.1' })
  t.match(JSON.parse(stdout), { code: 1, msg: 'incompatible CNI versions' })
})

t.test(
  'an error object has the version of the configuration, the code, the message and the details',
  async t => {
    const del = async () => {
      throw new CniError(11, 'no address', { details: 'all in use' })
    }
    const { stdout } = await answer({ del }, {}, { name: 'net', cniVersion: '0.4.0' })
    t.equal(stdout, '{"cniVersion":"0.4.0","code":11,"msg":"no address","details":"all in use"}')
  },
)

t.test('anything thrown becomes an error object: code 999, the causes as details, no stack', async t => {
  const del = async () => {
    throw new Error('delete "eth0"', { cause: new Error('EBUSY', { cause: new Error('held') }) })
  }
  const { stdout } = await answer({ del }, {})
  t.equal(stdout, '{"cniVersion":"1.1.0","code":999,"msg":"delete \\"eth0\\"","details":"EBUSY: held"}')
})

t.test('a file that cannot be read is code 5, what may pass by itself is code 11', async t => {
  const failing = (error: Error) => ({ del: () => Promise.reject(error) })
  const io = Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS', syscall: 'open' })
  t.match(JSON.parse((await answer(failing(io), {})).stdout), { code: 5 })
  const busy = Object.assign(new Error('dump'), { code: 'EINTR' })
  t.match(JSON.parse((await answer(failing(busy), {})).stdout), { code: 11 })
})

t.test('an ADD that fails undoes its steps, newest first, and reports its own failure', async t => {
  const undone: string[] = []
  const add: Plugin['add'] = async (_, undo) => {
    undo.add('first', () => void undone.push('first'))
    undo.add('second', () => void undone.push('second'))
    throw new Error('third')
  }
  const { stdout } = await answer({ add }, { CNI_COMMAND: 'ADD', CNI_NETNS: '/nowhere' })
  t.match(JSON.parse(stdout), { msg: 'third' })
  t.same(undone, ['second', 'first'])
})

t.test('an ADD whose result the version cannot say is undone too', async t => {
  let undone = false
  const add: Plugin['add'] = async (_, undo) => {
    undo.add('all', () => {
      undone = true
    })
    return { interfaces: [], ips: [], routes: [], dns: {} }
  }
  const conf = { name: 'net', cniVersion: '0.2.0' }
  const { stdout } = await answer({ add }, { CNI_COMMAND: 'ADD', CNI_NETNS: '/nowhere' }, conf)
  t.match(JSON.parse(stdout), { msg: 'cannot convert: no valid IP addresses' })
  t.ok(undone)
})

t.test('an ADD whose result cannot be printed is undone, and fails with code 5', async t => {
  let undone = false
  const add: Plugin['add'] = async (_, undo) => {
    undo.add('all', () => {
      undone = true
    })
    return { interfaces: [], ips: [], routes: [], dns: {} }
  }
  const refuse = () => {
    throw new CniError(5, 'error writing the answer to stdout')
  }
  const stdin = () => JSON.stringify({ name: 'net', cniVersion: '1.1.0' })
  const call = { ...env, CNI_COMMAND: 'ADD', CNI_NETNS: '/nowhere' }
  const { stdout, exitCode } = await answerCall(plugin({ add }), new Map(), call, stdin, refuse)
  t.match(JSON.parse(stdout), { code: 5, msg: 'error writing the answer to stdout' })
  t.equal(exitCode, 1)
  t.ok(undone)
})

t.test('stdin that is no JSON is code 6, a missing name code 7', async t => {
  t.match(JSON.parse((await answer({}, {}, 'not json')).stdout), { code: 6 })
  t.match(JSON.parse((await answer({}, {}, { cniVersion: '1.0.0' })).stdout), {
    code: 7,
    msg: 'missing network name',
  })
})
