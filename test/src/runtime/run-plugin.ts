/** The real thing: shell scripts as plugins, executed. */
import { chmodSync, closeSync, openSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { addNetworkList } from '../../../src/runtime/add'
import { delNetworkList } from '../../../src/runtime/del'
import { listPlugins } from '../../../src/runtime/plugin-path'
import { probePlugin } from '../../../src/runtime/probe'
import { formatRequestConf, type RequestParameters } from '../../../src/runtime/run-plugin'
import { failureOf, network } from './fixtures/recording-exec'

/** Notes what it was called with, and answers what the file named after the command says. */
const script = `#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_NETNS $CNI_IFNAME $CNI_ARGS $SECRET" >> "$NOTES"
cat >> "$NOTES"; echo >> "$NOTES"
case "$CNI_COMMAND" in
  VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}' ;;
  ADD) echo '{"cniVersion":"1.1.0","ips":[{"address":"10.1.2.3/24"}],"dns":{}}' ;;
  DEL) echo '{"code":11,"msg":"busy","details":"try later"}'; exit 1 ;;
esac
`

const runtime = (t: Test, plugins: Record<string, string>) => {
  const dir = t.testdir({ bin: plugins, cache: {} })
  for (const name of Object.keys(plugins)) chmodSync(`${dir}/bin/${name}`, 0o755)
  const env = { PATH: '/usr/bin:/bin', NOTES: `${dir}/notes`, UNSET: undefined }
  return {
    dir,
    options: { binDirs: [`${dir}/bin`], cacheDir: `${dir}/cache`, env },
    notes: () => readFileSync(`${dir}/notes`, 'utf8').split('\n'),
  }
}

const attachment = { containerID: 'c1', ifName: 'eth0', netns: '/run/netns/a', args: [['K', 'V']] as const }

t.test('a real plugin gets environment and stdin, and its result is cached', async t => {
  process.env.SECRET = 'not in options.env'
  const { dir, options, notes } = runtime(t, { script })
  t.same(await addNetworkList(network(['script']), attachment, options), {
    cniVersion: '1.1.0',
    ips: [{ address: '10.1.2.3/24' }],
    dns: {},
  })
  t.same(notes(), [
    'ADD c1 /run/netns/a eth0 K=V ',
    '{"type":"script","cniVersion":"1.1.0","name":"net"}',
    '',
  ])
  t.match(
    readFileSync(`${dir}/cache/results/net-c1-eth0`, 'utf8'),
    /"ips":\[\{"address":"10.1.2.3\/24"\}\]\}\}$/,
  )
})

t.test("a real plugin's error object keeps code and details", async t => {
  const { options } = runtime(t, { script })
  await t.rejects(delNetworkList(network(['script']), attachment, options), {
    code: 11,
    message: 'plugin type="script" failed (delete): busy',
    details: 'try later',
  })
})

t.test(
  'a plugin that crashes, is no program or ignores its input is a failure or none, as it says itself',
  async t => {
    const { options } = runtime(t, {
      crashes: '#!/bin/sh\nkill -SEGV $$\n',
      absent: '#!/nonexistent/interpreter\n',
      deaf: '#!/bin/sh\nexec <&-\necho "{}"\n',
    })
    const big = { type: 'deaf', padding: 'x'.repeat(1 << 20) }
    t.same(await addNetworkList(network([big]), attachment, options), { cniVersion: '1.1.0' })
    t.equal(
      await failureOf(addNetworkList(network(['crashes']), attachment, options)),
      '999 plugin type="crashes" failed (add): netplugin failed with no error message: exit status 139',
    )
    t.match(
      await failureOf(addNetworkList(network(['absent']), attachment, options)),
      /plugin type="absent" failed \(add\): .*ENOENT/,
    )
  },
)

t.test('real plugins are listed and probed', async t => {
  const { dir, options } = runtime(t, { script })
  const [plugin] = listPlugins(options.binDirs)
  t.same(plugin && (await probePlugin(plugin, options)), {
    name: 'script',
    path: `${dir}/bin/script`,
    versions: ['1.0.0', '1.1.0'],
  })
})

t.test('a plugin that is being written is waited for', async t => {
  const { dir, options } = runtime(t, { script })
  const fd = openSync(`${dir}/bin/script`, 'a')
  setTimeout(() => closeSync(fd), 100)
  t.match(await addNetworkList(network(['script']), attachment, options), { cniVersion: '1.1.0' })
})

const request = (plugin: object, parameters: RequestParameters = {}): string => {
  const list = network([plugin])
  const [conf] = list.plugins
  return conf ? formatRequestConf(list, conf, parameters) : ''
}

t.test("the user's keys stay as they are, in their order", async t => {
  t.equal(
    request({ zebra: [1, { y: null }], type: 'bridge', alpha: '<&>', args: { cni: { ips: [] } } }),
    '{"zebra":[1,{"y":null}],"type":"bridge","alpha":"<&>","args":{"cni":{"ips":[]}},"cniVersion":"1.1.0","name":"net"}',
  )
})

t.test('name and version of the network replace those of the plugin', async t => {
  t.equal(
    request({ cniVersion: '0.2.0', type: 'bridge', name: 'own' }),
    '{"cniVersion":"1.1.0","type":"bridge","name":"net"}',
  )
})

t.test('runtimeConfig has what the plugin declares and the runtime has, and nothing else', async t => {
  const plugin = { type: 'p', capabilities: { mac: true, ips: false, portMappings: true, toString: true } }
  const capabilityArgs = { portMappings: [], ips: ['10.1.2.3'], mac: null, bandwidth: {} }
  t.same(JSON.parse(request(plugin, { capabilityArgs })).runtimeConfig, { mac: null, portMappings: [] })
  t.equal('runtimeConfig' in JSON.parse(request(plugin, { capabilityArgs: { bandwidth: {} } })), false)
  t.equal('runtimeConfig' in JSON.parse(request({ type: 'p' }, { capabilityArgs })), false)
})

t.test('prevResult is passed on key by key', async t => {
  t.equal(
    request({ type: 'p' }, { prevResult: { cniVersion: '1.1.0', dns: {}, 'x.y/z': 1 } }),
    '{"type":"p","cniVersion":"1.1.0","name":"net","prevResult":{"cniVersion":"1.1.0","dns":{},"x.y/z":1}}',
  )
})

t.test('valid attachments go under both keys that plugins read', async t => {
  t.equal(
    request({ type: 'p' }, { validAttachments: [{ containerID: 'c1', ifName: 'eth0' }] }),
    '{"type":"p","cniVersion":"1.1.0","name":"net",' +
      '"cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}],' +
      '"cni.dev/attachments":[{"containerID":"c1","ifname":"eth0"}]}',
  )
  t.same(JSON.parse(request({ type: 'p' }, { validAttachments: [] }))['cni.dev/valid-attachments'], [])
})

t.test('a key called __proto__ is a key like any other', async t => {
  const list = network([JSON.parse('{"type":"p","__proto__":{"evil":true}}')])
  const [conf] = list.plugins
  t.equal(
    conf && formatRequestConf(list, conf, {}),
    '{"type":"p","__proto__":{"evil":true},"cniVersion":"1.1.0","name":"net"}',
  )
})
