import t, { type Test } from 'tap'
import { probePlugin, probePlugins, validateNetworkList } from '../../../src/runtime/probe'
import { binDir, failure, failureOf, network, recordingExec } from './fixtures/recording-exec'

const versions = (...supportedVersions: string[]) => ({
  stdout: JSON.stringify({ cniVersion: '1.1.0', supportedVersions }),
})

const runtime = (t: Test, answers: Parameters<typeof recordingExec>[0], ...plugins: string[]) => {
  const recorder = recordingExec(answers)
  const folder = t.testdir({})
  const options = {
    binDirs: [binDir(folder, ...plugins)],
    cacheDir: folder,
    env: { HOME: '/root' },
    exec: recorder.exec,
  }
  return { ...recorder, options }
}

t.test('probePlugin() asks as libcni asks', async t => {
  const { asked, options } = runtime(t, { 'VERSION bridge': versions('0.4.0', '1.0.0') })
  const plugin = { name: 'bridge', path: '/opt/cni/bin/bridge' }
  t.same(await probePlugin(plugin, options), { ...plugin, versions: ['0.4.0', '1.0.0'] })
  t.same(asked, [
    {
      plugin: 'bridge',
      command: 'VERSION',
      env: {
        HOME: '/root',
        CNI_COMMAND: 'VERSION',
        CNI_CONTAINERID: '',
        CNI_NETNS: 'dummy',
        CNI_IFNAME: 'dummy',
        CNI_ARGS: '',
        CNI_PATH: 'dummy',
      },
      stdin: '{"cniVersion":"1.1.0"}',
    },
  ])
})

t.test('probePlugin() knows how plugins older than the list of versions answer', async t => {
  const { options } = runtime(t, {
    'VERSION oldest': failure(4, 'unknown CNI_COMMAND: VERSION'),
    'VERSION older': { stdout: '{"cniVersion":"0.2.0"}' },
  })
  t.same((await probePlugin({ name: 'oldest', path: '/oldest' }, options)).versions, ['0.1.0'])
  t.same((await probePlugin({ name: 'older', path: '/older' }, options)).versions, ['0.1.0', '0.2.0'])
})

t.test('probePlugin() refuses what is no answer to VERSION', async t => {
  const { options } = runtime(t, {
    'VERSION ls': { stdout: 'a\nb' },
    'VERSION silent': {},
    'VERSION half': { stdout: '{"cniVersion":"1.0.0"}' },
    'VERSION broken': { exitCode: 127, stderr: 'no such library' },
  })
  const cases = new Map([
    ['ls', '6 VERSION of /ls: "a\\nb"'],
    ['silent', '6 VERSION of /silent: ""'],
    ['half', '6 VERSION of /half: missing field cniVersion or supportedVersions'],
    ['broken', '999 VERSION of /broken: netplugin failed: "no such library": exit status 127'],
  ])
  for (const [name, failure] of cases) {
    t.equal(await failureOf(probePlugin({ name, path: `/${name}` }, options)), failure)
  }
})

t.test('probePlugins() asks each plugin once and reports all that fail', async t => {
  const answers = { 'VERSION a': versions('1.0.0'), 'VERSION b': failure(999, 'broken') }
  const good = runtime(t, answers, 'a')
  t.same(
    (await probePlugins(network(['a', 'a']), good.options)).map(({ name }) => name),
    ['a'],
  )
  t.same(good.calls(), ['VERSION a'])
  const bad = runtime(t, answers, 'a', 'b')
  t.equal(
    (await failureOf(probePlugins(network(['a', 'b', 'c']), bad.options))).replaceAll(
      String(bad.options.binDirs),
      '/bin',
    ),
    '999 VERSION of /bin/b: broken; failed to find plugin "c" in path [/bin]',
  )
})

t.test(
  'validateNetworkList() answers the capabilities, or which plugin does not speak the version',
  async t => {
    const answers = {
      'VERSION a': versions('1.1.0'),
      'VERSION b': versions('1.0.0', '1.1.0'),
      'VERSION c': versions('0.4.0'),
    }
    const { options } = runtime(t, answers, 'a', 'b', 'c')
    const a = { type: 'a', capabilities: { ips: true, mac: true } }
    const b = { type: 'b', capabilities: { mac: true, portMappings: true, dns: false } }
    t.same(await validateNetworkList(network([a, b]), options), ['ips', 'mac', 'portMappings'])
    t.equal(
      await failureOf(validateNetworkList(network([a, 'c']), options)),
      '1 plugin c does not support config version "1.1.0"',
    )
  },
)
