import t, { type Test } from 'tap'
import { addNetworkList } from '../../../src/runtime/add'
import { checkNetworkList, statusNetworkList } from '../../../src/runtime/check'
import { binDir, failure, failureOf, network, recordingExec, result } from './fixtures/recording-exec'

const attachment = { containerID: 'c1', ifName: 'eth0', netns: '/run/netns/a' }

const plugins = [{ type: 'first' }, { type: 'second', capabilities: { mac: true } }]

/** A runtime that has added the attachment to `list`. */
const added = async (
  t: Test,
  list: ReturnType<typeof network>,
  answers: Parameters<typeof recordingExec>[0] = {},
) => {
  const recorder = recordingExec({ 'ADD first': result('one'), 'ADD second': result('two'), ...answers })
  const cacheDir = t.testdir({})
  const options = { binDirs: [binDir(cacheDir, 'first', 'second')], cacheDir, env: {}, exec: recorder.exec }
  await addNetworkList(list, { ...attachment, args: [['K', 'V']], capabilityArgs: { mac: 'm' } }, options)
  recorder.asked.length = 0
  return { ...recorder, options }
}

t.test(
  "CHECK calls the plugins in order with the last one's result and the parameters of the ADD",
  async t => {
    const { asked, calls, conf, options } = await added(t, network(plugins))
    await checkNetworkList(network(plugins), attachment, options)
    t.same(calls(), ['CHECK first', 'CHECK second'])
    for (const call of calls())
      t.same(conf(call).prevResult, { cniVersion: '1.1.0', interfaces: [{ name: 'two' }] })
    t.same(conf('CHECK second').runtimeConfig, { mac: 'm' })
    t.equal(asked[0]?.env.CNI_ARGS, 'K=V')
    t.equal(asked[0]?.env.CNI_NETNS, '/run/netns/a')
  },
)

t.test('CHECK takes parameters that are given instead', async t => {
  const { asked, conf, options } = await added(t, network(plugins))
  await checkNetworkList(network(plugins), { ...attachment, args: [], capabilityArgs: { mac: 'n' } }, options)
  t.same(conf('CHECK second').runtimeConfig, { mac: 'n' })
  t.equal(asked[0]?.env.CNI_ARGS, '')
})

t.test('CHECK stops at the first failure', async t => {
  const { calls, options } = await added(t, network(plugins), { 'CHECK first': failure(100, 'drifted') })
  t.equal(
    await failureOf(checkNetworkList(network(plugins), attachment, options)),
    '100 plugin type="first" failed (check): drifted',
  )
  t.same(calls(), ['CHECK first'])
})

t.test('CHECK needs the result of the ADD', async t => {
  const { calls, options } = await added(t, network(plugins))
  t.equal(
    await failureOf(checkNetworkList(network(plugins), { ...attachment, ifName: 'eth1' }, options)),
    '3 container c1 has no "eth1" on network "net"',
  )
  t.same(calls(), [])
})

t.test('CHECK is done for no network with disableCheck and refused before 0.4.0', async t => {
  const disabled = network(plugins, { disableCheck: true })
  const old = network(plugins, { cniVersion: '0.3.1', disableCheck: true })
  const { calls, options } = await added(t, disabled)
  await checkNetworkList(disabled, attachment, options)
  t.equal(
    await failureOf(checkNetworkList(old, attachment, options)),
    '1 configuration version "0.3.1" does not support the CHECK command',
  )
  t.same(calls(), [])
})

t.test('CHECK sends the result in the version of a network that has changed since', async t => {
  const { conf, options } = await added(t, network(plugins))
  await checkNetworkList(network(plugins, { cniVersion: '0.4.0' }), attachment, options)
  t.equal(conf('CHECK first').prevResult.cniVersion, '0.4.0')
})

const runtime = (t: Test, answers: Parameters<typeof recordingExec>[0] = {}) => {
  const recorder = recordingExec(answers)
  const cacheDir = t.testdir({})
  return {
    ...recorder,
    options: { binDirs: [binDir(cacheDir, 'a', 'b')], cacheDir, env: {}, exec: recorder.exec },
  }
}

t.test('STATUS asks every plugin', async t => {
  const { asked, calls, options } = runtime(t)
  await statusNetworkList(network(['a', 'b']), options)
  t.same(calls(), ['STATUS a', 'STATUS b'])
  t.equal(asked[0]?.stdin, '{"type":"a","cniVersion":"1.1.0","name":"net"}')
  t.match(asked[0]?.env, { CNI_COMMAND: 'STATUS', CNI_CONTAINERID: '', CNI_PATH: options.binDirs[0] })
})

t.test('STATUS throws what all of them say, with the code of the first', async t => {
  const { options } = runtime(t, {
    'STATUS a': failure(50, 'no iptables'),
    'STATUS b': failure(51, 'no IPv6'),
  })
  t.equal(
    await failureOf(statusNetworkList(network(['a', 'b', 'c']), options)),
    '50 plugin type="a" failed (status): no iptables; plugin type="b" failed (status): no IPv6; ' +
      `plugin type="c" failed (status): failed to find plugin "c" in path [${options.binDirs[0]}]`,
  )
})

t.test('STATUS calls no plugin before 1.1.0', async t => {
  const { calls, options } = runtime(t, { 'STATUS a': failure(50, 'no') })
  await statusNetworkList(network(['a'], { cniVersion: '1.0.0' }), options)
  t.same(calls(), [])
})
