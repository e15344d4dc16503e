import { existsSync, truncateSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { addNetworkList } from '../../../src/runtime/add'
import { delNetworkList } from '../../../src/runtime/del'
import { binDir, failure, failureOf, network, recordingExec, result } from './fixtures/recording-exec'

const attachment = { containerID: 'c1', ifName: 'eth0', netns: '/run/netns/a' }

const plugins = ['first', { type: 'second', capabilities: { mac: true } }, 'third']
const reverse = ['DEL third', 'DEL second', 'DEL first']

/** A runtime that has added the attachment to `list`. */
const added = async (
  t: Test,
  list: ReturnType<typeof network>,
  answers: Parameters<typeof recordingExec>[0] = {},
) => {
  const adds = { 'ADD first': result('one'), 'ADD second': result('two'), 'ADD third': result('three') }
  const recorder = recordingExec({ ...adds, ...answers })
  const cacheDir = t.testdir({})
  const bin = binDir(cacheDir, 'first', 'second', 'third')
  const options = { binDirs: [bin], cacheDir, env: {}, exec: recorder.exec }
  await addNetworkList(list, { ...attachment, args: [['K', 'V']], capabilityArgs: { mac: 'm' } }, options)
  recorder.asked.length = 0
  return { ...recorder, options, file: `${cacheDir}/results/net-c1-eth0` }
}

const lastResult = { cniVersion: '1.1.0', interfaces: [{ name: 'three' }] }

t.test(
  'DEL calls the plugins in reverse order with the result and parameters of the ADD, and forgets',
  async t => {
    const { asked, calls, conf, options, file } = await added(t, network(plugins))
    t.ok(existsSync(file))
    await delNetworkList(network(plugins), { ...attachment, netns: '' }, options)
    t.same(calls(), reverse)
    for (const call of calls()) t.same(conf(call).prevResult, lastResult)
    t.same(conf('DEL second').runtimeConfig, { mac: 'm' })
    t.equal(asked[0]?.env.CNI_ARGS, 'K=V')
    t.equal(asked[0]?.env.CNI_NETNS, '')
    t.notOk(existsSync(file))
  },
)

t.test('a second DEL calls the plugins again, without a result', async t => {
  const { asked, calls, conf, options } = await added(t, network(plugins))
  await delNetworkList(network(plugins), attachment, options)
  asked.length = 0
  await delNetworkList(network(plugins), attachment, options)
  t.same(calls(), reverse)
  t.same(conf('DEL first'), { type: 'first', cniVersion: '1.1.0', name: 'net' })
})

t.test('DEL sends no result before 0.4.0', async t => {
  const old = network(plugins, { cniVersion: '0.3.1' })
  const { calls, conf, options } = await added(t, old)
  await delNetworkList(old, attachment, options)
  t.same(calls(), reverse)
  t.equal('prevResult' in conf('DEL first'), false)
})

t.test('DEL does without a cache that is torn, at whatever byte', async t => {
  const garbage: [what: string, tear: (file: string) => void][] = [
    ['empty', file => truncateSync(file, 0)],
    ['cut', file => truncateSync(file, 100)],
    ['zeroes', file => writeFileSync(file, '\0'.repeat(300))],
    ['no result', file => writeFileSync(file, '{"cniVersion":"1.1.0","ips":7}')],
    ['other JSON', file => writeFileSync(file, '[]')],
  ]
  for (const [what, tear] of garbage) {
    const { calls, conf, options, file } = await added(t, network(plugins))
    tear(file)
    await delNetworkList(network(plugins), attachment, options)
    t.same(calls(), reverse, what)
    t.equal('prevResult' in conf('DEL first'), false, what)
    t.notOk(existsSync(file), what)
  }
})

t.test(
  'DEL calls every plugin though some fail, joins what they say, and remembers the attachment',
  async t => {
    const { calls, options, file } = await added(t, network(plugins), {
      'DEL third': failure(11, 'busy'),
      'DEL second': { exitCode: 2, stderr: 'boom' },
    })
    t.equal(
      await failureOf(delNetworkList(network(plugins), attachment, options)),
      '11 plugin type="third" failed (delete): busy; ' +
        'plugin type="second" failed (delete): netplugin failed: "boom": exit status 2',
    )
    t.same(calls(), reverse)
    t.ok(existsSync(file))
  },
)

t.test('DEL gives no address back once a plugin failed whose rules may lead there', async t => {
  const leasing = network([{ type: 'first', ipam: { type: 'host-local' } }, 'second', 'third'])
  const { calls, options, file } = await added(t, leasing, { 'DEL third': failure(11, 'busy') })
  t.equal(
    await failureOf(delNetworkList(leasing, attachment, options)),
    '11 plugin type="third" failed (delete): busy; plugin type="first" was not called, to keep the addresses',
  )
  t.same(calls(), ['DEL third', 'DEL second'])
  t.ok(existsSync(file), 'for the next DEL')
})

t.test('DEL calls the plugins that are there though one is not', async t => {
  const { calls, options } = await added(t, network(plugins))
  const more = network(['first', 'fourth'])
  await t.rejects(delNetworkList(more, attachment, options), { message: /failed to find plugin "fourth"/ })
  t.same(calls(), ['DEL first'])
})

t.test('DEL succeeds when all that failed is gone already, and forgets', async t => {
  const gone = (netns: string) => `failed to Statfs "${netns}": no such file or directory`
  const unknown = await added(t, network(plugins), { 'DEL second': failure(3, 'container unknown') })
  await delNetworkList(network(plugins), attachment, unknown.options)
  t.notOk(existsSync(unknown.file))

  const nowhere = await added(t, network(plugins), { 'DEL first': failure(999, gone('/nonexistent')) })
  await delNetworkList(network(plugins), { ...attachment, netns: '/nonexistent' }, nowhere.options)
  t.notOk(existsSync(nowhere.file))

  // The namespace is there, so the plugin must have meant another file.
  const here = await added(t, network(plugins), { 'DEL first': failure(999, gone('/proc/self')) })
  await t.rejects(delNetworkList(network(plugins), { ...attachment, netns: '/proc/self' }, here.options))
  t.ok(existsSync(here.file))
})
