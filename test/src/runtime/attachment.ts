import t from 'tap'
import { checkAttachment, formatCniArgs, parseCniArgs } from '../../../src/runtime/attachment'

t.test('checkAttachment() refuses what must not become the name of a file', async t => {
  const good = { network: 'net', containerID: 'c1', ifName: 'eth0' }
  t.doesNotThrow(() => checkAttachment(good))
  t.doesNotThrow(() => checkAttachment({ network: 'a.b', containerID: 'default-cl_1', ifName: 'v@0-x' }))
  const cases: [key: Partial<typeof good>, code: number, message: string][] = [
    [{ network: '' }, 7, 'invalid characters found in network name'],
    [{ network: '../net' }, 7, 'invalid characters found in network name'],
    [{ network: '.net' }, 7, 'invalid characters found in network name'],
    [{ network: 'net\n' }, 7, 'invalid characters found in network name'],
    [{ containerID: '' }, 4, 'missing containerID'],
    [{ containerID: 'a/b' }, 4, 'invalid characters in containerID'],
    [{ containerID: '..' }, 4, 'invalid characters in containerID'],
    [{ ifName: '' }, 4, 'interface name is empty'],
    [{ ifName: '..' }, 4, 'interface name is . or ..'],
    [{ ifName: 'a/b' }, 4, 'interface name contains / or : or whitespace characters'],
    [{ ifName: 'abcdefghijklmnop' }, 4, 'interface name is too long'],
  ]
  for (const [part, code, message] of cases) {
    t.throws(() => checkAttachment({ ...good, ...part }), { code, message }, JSON.stringify(part))
  }
})

t.test('CNI_ARGS are pairs and back', async t => {
  t.same(parseCniArgs(''), [])
  t.same(parseCniArgs('IgnoreUnknown=1;IP=10.1.2.3'), [
    ['IgnoreUnknown', '1'],
    ['IP', '10.1.2.3'],
  ])
  t.equal(formatCniArgs(parseCniArgs('IgnoreUnknown=1;IP=10.1.2.3')), 'IgnoreUnknown=1;IP=10.1.2.3')
  t.equal(formatCniArgs([]), '')
  for (const text of ['none', 'A=', '=B', 'A=B=C', 'A=B;'])
    t.throws(() => parseCniArgs(text), { code: 4 }, text)
})
