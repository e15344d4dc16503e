/** The call as all plugins have it: opening CNI_NETNS, where a failure names the path once, and reading prevResult once. */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseNetConf } from '../../../src/cni/conf'
import { asPrevResult, openCallNetns, prevResultOf } from '../../../src/cni/plugin'

const envOf = (netns: string) =>
  ({
    command: 'ADD',
    containerID: 'c1',
    netns,
    ifName: 'eth0',
    path: [],
    args: '',
    netnsOverride: false,
  }) as const

t.test('a path that cannot be opened: the message names it, the details have the errno', async t => {
  const path = join(t.testdir({}), 'loop')
  symlinkSync(path, path)
  t.throws(() => openCallNetns(envOf(path)), {
    code: 8,
    message: `failed to open netns "${path}"`,
    details: `ELOOP: too many levels of symbolic links; see as root: ls -lL ${path}`,
  })
})

t.test('a path that does not exist is no failure here: each verb decides', async t => {
  t.same(openCallNetns(envOf('/nonexistent/netns')), { netns: undefined })
})

const confWith = (prevResult?: unknown) =>
  parseNetConf({ cniVersion: '1.0.0', name: 'pods', ...(prevResult !== undefined && { prevResult }) })

const result = { cniVersion: '1.0.0', ips: [{ address: '10.0.0.2/24' }] }

t.test('prevResultOf() reads the result once: each part of a call gets the same object', async t => {
  const call = { conf: confWith(result), version: '1.0.0' as const }
  const first = prevResultOf(call)
  t.equal(first?.ips.length, 1)
  t.equal(prevResultOf({ ...call }), first)
})

t.test('prevResultOf() need not read the result of a part that ran before', async t => {
  const own = prevResultOf({ conf: confWith(result), version: '1.0.0' })
  t.ok(own)
  const passed = own && asPrevResult(own, '1.1.0')
  t.match(passed, { cniVersion: '1.1.0', ips: [{ address: '10.0.0.2/24' }] })
  t.equal(prevResultOf({ conf: { ...confWith(), prevResult: passed }, version: '1.1.0' }), own)
})

t.test(
  'prevResultOf() answers undefined without a result, and throws for one that is none, each time',
  async t => {
    t.equal(prevResultOf({ conf: confWith(), version: '1.0.0' }), undefined)
    const call = { conf: confWith({ ...result, ips: 'none' }), version: '1.0.0' as const }
    for (const time of ['first', 'second']) t.throws(() => prevResultOf(call), { code: 6 }, time)
  },
)
