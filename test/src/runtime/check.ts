import t, { type Test } from 'tap'
import { addNetworkList } from '../../../src/runtime/add'
import { checkNetworkList } from '../../../src/runtime/check'
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
