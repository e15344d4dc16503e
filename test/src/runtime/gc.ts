import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { gcNetworkList, staleAttachments } from '../../../src/runtime/gc'
import { writeCacheEntry } from '../../../src/runtime/result-cache'
import { binDir, failure, failureOf, network, recordingExec } from './fixtures/recording-exec'

const result = { cniVersion: '1.1.0' }

/** A runtime that remembers c1 and c2 on "net" and c3 on another network. */
const runtime = (t: Test, answers: Parameters<typeof recordingExec>[0] = {}) => {
  const recorder = recordingExec(answers)
  const cacheDir = t.testdir({})
  const entry = { ifName: 'eth0', config: '{}', result }
  writeCacheEntry(cacheDir, { ...entry, network: 'net', containerID: 'c1', netns: '/run/netns/a' })
  writeCacheEntry(cacheDir, {
    ...entry,
    network: 'net',
    containerID: 'c2',
    netns: '/run/netns/b',
    args: [['K', 'V']],
    capabilityArgs: { mac: 'm' },
  })
  writeCacheEntry(cacheDir, { ...entry, network: 'net-2', containerID: 'c3', netns: '' })
  const options = { binDirs: [binDir(cacheDir, 'first', 'second')], cacheDir, env: {}, exec: recorder.exec }
  return { ...recorder, options, remembered: () => readdirSync(`${cacheDir}/results`).sort() }
}

const plugins = ['first', { type: 'second', capabilities: { mac: true } }]
const valid = [{ containerID: 'c1', ifName: 'eth0' }]

t.test('GC deletes what is remembered and not valid, then calls GC of every plugin', async t => {
  const { asked, calls, conf, options, remembered } = runtime(t)
  await gcNetworkList(network(plugins), valid, options)
  t.same(calls(), ['DEL second', 'DEL first', 'GC second', 'GC first'])
  t.match(asked[0]?.env, {
    CNI_CONTAINERID: 'c2',
    CNI_NETNS: '/run/netns/b',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'K=V',
  })
  t.same(conf('DEL second').runtimeConfig, { mac: 'm' })
  t.same(conf('DEL second').prevResult, result)
  t.same(conf('GC first'), {
    type: 'first',
    cniVersion: '1.1.0',
    name: 'net',
    'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: 'eth0' }],
    'cni.dev/attachments': [{ containerID: 'c1', ifname: 'eth0' }],
  })
  t.match(asked[2]?.env, { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' })
  t.same(remembered(), ['net-2-c3-eth0', 'net-c1-eth0'])
})

t.test('GC refuses a list that is undefined and takes an empty one at its word', async t => {
  const { calls, options } = runtime(t)
  t.equal(
    await failureOf(gcNetworkList(network(['first']), undefined, options)),
    '7 GC of network "net" needs the list of valid attachments',
  )
  t.same(calls(), [])
  await gcNetworkList(network(['first']), [], options)
  t.same(calls(), ['DEL first', 'DEL first', 'GC first'])
})

t.test('GC goes on after failures and throws them all', async t => {
  const { calls, options, remembered } = runtime(t, {
    'DEL first': failure(11, 'busy'),
    'GC first': failure(999, 'broken'),
  })
  t.equal(
    await failureOf(gcNetworkList(network(plugins), valid, options)),
    '11 failed to delete stale attachment c2 eth0: plugin type="first" failed (delete): busy; ' +
      'plugin type="first" failed (gc): broken',
  )
  t.same(calls(), ['DEL second', 'DEL first', 'GC second', 'GC first'])
  t.ok(remembered().includes('net-c2-eth0'))
})

t.test('GC before 1.1.0 deletes what is stale and calls GC of no plugin', async t => {
  const { calls, options } = runtime(t)
  await gcNetworkList(network(['first'], { cniVersion: '1.0.0' }), valid, options)
  t.same(calls(), ['DEL first'])
})

t.test('GC does nothing for a network with disableGC', async t => {
  const { calls, options, remembered } = runtime(t)
  await gcNetworkList(network(['first'], { disableGC: true }), [], options)
  t.same(calls(), [])
  t.equal(remembered().length, 3)
})

t.test("GC passes on no namespace that is a process's: its number may be another's by now", async t => {
  const { asked, options } = runtime(t)
  const stale = {
    network: 'net',
    containerID: 'c4',
    ifName: 'eth0',
    netns: '/proc/4711/ns/net',
    config: '{}',
  }
  writeCacheEntry(options.cacheDir, stale)
  await gcNetworkList(network(['first']), [...valid, { containerID: 'c2', ifName: 'eth0' }], options)
  t.match(asked[0], { command: 'DEL', env: { CNI_CONTAINERID: 'c4', CNI_NETNS: '' } })
})

t.test('staleAttachments() tells what GC would delete', async t => {
  const { options } = runtime(t)
  const stale = (attachments: typeof valid) =>
    staleAttachments(network(['first']), attachments, options.cacheDir).map(({ containerID }) => containerID)
  t.same(stale(valid), ['c2'])
  t.same(stale([]), ['c1', 'c2'])
  t.same(stale([{ containerID: 'c1', ifName: 'eth1' }]), ['c1', 'c2'])
})
