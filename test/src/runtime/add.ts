import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { addNetworkList } from '../../../src/runtime/add'
import { parseCniArgs } from '../../../src/runtime/attachment'
import { readConfList } from '../../../src/runtime/conf-dir'
import { binDir, failure, failureOf, network, recordingExec, result } from './fixtures/recording-exec'

const attachment = { containerID: 'c1', ifName: 'eth0', netns: '/run/netns/a' }

const runtime = (t: Test, answers: Parameters<typeof recordingExec>[0]) => {
  const recorder = recordingExec(answers)
  const cacheDir = t.testdir({})
  const bin = binDir(cacheDir, 'first', 'second', 'third')
  const options = {
    binDirs: ['/nonexistent', bin],
    cacheDir,
    env: { PATH: '/bin', CNI_ARGS: 'X=Y' },
    exec: recorder.exec,
  }
  return { ...recorder, options, cached: (name: string) => `${cacheDir}/results/${name}` }
}

const threeResults = {
  'ADD first': result('one'),
  'ADD second': result('two'),
  'ADD third': result('three'),
}

t.test('ADD calls the plugins in order, each with the result of the one before', async t => {
  const { calls, conf, options } = runtime(t, threeResults)
  const answer = await addNetworkList(network(['first', 'second', 'third']), attachment, options)
  t.same(answer, { cniVersion: '1.1.0', interfaces: [{ name: 'three' }] })
  t.same(calls(), ['ADD first', 'ADD second', 'ADD third'])
  t.same(conf('ADD first'), { type: 'first', cniVersion: '1.1.0', name: 'net' })
  t.same(conf('ADD second').prevResult, { cniVersion: '1.1.0', interfaces: [{ name: 'one' }] })
  t.same(conf('ADD third').prevResult, { cniVersion: '1.1.0', interfaces: [{ name: 'two' }] })
})

t.test('ADD sets the variables of the specification and passes the rest of the environment on', async t => {
  const { asked, options } = runtime(t, threeResults)
  const args = parseCniArgs('IgnoreUnknown=1;IP=10.1.2.3')
  await addNetworkList(network(['first']), { ...attachment, args }, options)
  t.same(asked[0]?.env, {
    PATH: '/bin',
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;IP=10.1.2.3',
    CNI_PATH: options.binDirs.join(':'),
  })
})

t.test('ADD leaves the cache that libcni 1.3.0 leaves, byte for byte', async t => {
  const golden = (name: string) => join(__dirname, 'fixtures/golden', name)
  const read = (name: string) => readFileSync(golden(name), 'utf8')
  const capabilityArgs = {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
    bandwidth: { ingressRate: 18446744073709552000 },
    '10': 'x&y',
    '9': null,
  }
  const args = parseCniArgs('IgnoreUnknown=1;K8S_POD_NAME=a<b')
  const cases = [
    {
      file: '10-rich.conflist',
      version: '1.1.0',
      name: 'rich-c-1-eth0',
      parameters: { args, capabilityArgs },
    },
    { file: '20-old.conflist', version: '0.4.0', name: 'old-c-2-eth0', parameters: {} },
    { file: '30-single.conf', version: '0.1.0', name: 'single-c-3-eth0', parameters: { netns: '' } },
  ]
  for (const { file, version, name, parameters } of cases) {
    const stdout = read(`result-${version}.json`)
    const { cached, options } = runtime(t, { 'ADD first': { stdout }, 'ADD second': { stdout } })
    const containerID = name.slice(-8, -5)
    await addNetworkList(readConfList(golden(file)), { ...attachment, containerID, ...parameters }, options)
    t.equal(readFileSync(cached(name), 'utf8'), read(`results/${name}`), name)
  }
})

t.test('ADD gives a result without a version that of the network', async t => {
  const { options } = runtime(t, { 'ADD first': { stdout: '{"dns":{}}' }, 'ADD second': { stdout: 'null' } })
  t.same(await addNetworkList(network(['first']), attachment, options), { dns: {}, cniVersion: '1.1.0' })
  t.same(await addNetworkList(network(['second']), attachment, options), { cniVersion: '1.1.0' })
})

t.test('ADD stops at the first failure and passes on its code, with the plugin in front', async t => {
  const { calls, cached, options } = runtime(t, { ...threeResults, 'ADD second': failure(11, 'busy') })
  t.equal(
    await failureOf(addNetworkList(network(['first', 'second', 'third']), attachment, options)),
    '11 plugin type="second" failed (add): busy',
  )
  t.same(calls(), ['ADD first', 'ADD second'])
  t.notOk(existsSync(cached('net-c1-eth0')))
})

t.test('ADD refuses what is no result', async t => {
  const { options } = runtime(t, {
    'ADD first': { stdout: '{' },
    'ADD second': { stdout: '[]' },
    'ADD third': { stdout: '{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3"}]}' },
  })
  const cases = new Map([
    ['first', '6 the result of plugin "first" is not JSON'],
    ['second', '6 the result of plugin "second" is not a JSON object'],
    [
      'third',
      '6 the result of plugin "third": "ips.0.address": expected an address with a prefix length but received "10.1.2.3"',
    ],
    [
      'fourth',
      '7 plugin type="fourth" failed (add): failed to find plugin "fourth" in path [/nonexistent BIN]',
    ],
  ])
  for (const [plugin, text] of cases) {
    const said = await failureOf(addNetworkList(network([plugin]), attachment, options))
    t.equal(said.replace(String(options.binDirs[1]), 'BIN'), text)
  }
})

t.test('ADD checks names before anything is executed', async t => {
  const { calls, options } = runtime(t, threeResults)
  for (const wrong of [{ containerID: '../c' }, { containerID: '' }, { ifName: 'a/b' }, { ifName: '' }]) {
    const work = addNetworkList(network(['first']), { ...attachment, ...wrong }, options)
    await t.rejects(work, { code: 4 }, JSON.stringify(wrong))
  }
  t.same(calls(), [])
})

t.test('onFailure "delete" undoes what was done, newest first, the failed plugin included', async t => {
  const { calls, conf, options } = runtime(t, { ...threeResults, 'ADD second': failure(11, 'busy') })
  const work = addNetworkList(network(['first', 'second', 'third']), attachment, {
    ...options,
    onFailure: 'delete',
  })
  t.equal(await failureOf(work), '11 plugin type="second" failed (add): busy')
  t.same(calls(), ['ADD first', 'ADD second', 'DEL second', 'DEL first'])
  t.same(conf('DEL first').prevResult, { cniVersion: '1.1.0', interfaces: [{ name: 'one' }] })
})

t.test('onFailure "delete" undoes an ADD whose result cannot be cached', async t => {
  const { calls, options } = runtime(t, threeResults)
  const cacheDir = `${options.binDirs[1]}/first`
  const work = addNetworkList(network(['first']), attachment, { ...options, cacheDir, onFailure: 'delete' })
  await t.rejects(work, { code: 'ENOTDIR' })
  t.same(calls(), ['ADD first', 'DEL first'])
})

t.test('onFailure "delete" spares a container that is attached already', async t => {
  const answers = { ...threeResults }
  const { calls, cached, options } = runtime(t, answers)
  const list = network(['first'])
  await addNetworkList(list, attachment, options)
  const again = recordingExec({ 'ADD first': failure(999, 'eth0 already exists') })
  const work = addNetworkList(list, attachment, { ...options, exec: again.exec, onFailure: 'delete' })
  t.equal(await failureOf(work), '999 plugin type="first" failed (add): eth0 already exists')
  t.same([...calls(), ...again.calls()], ['ADD first', 'ADD first'])
  t.ok(existsSync(cached('net-c1-eth0')))
})
