import t from 'tap'
import { formatRequestConf, type RequestParameters } from '../../../src/runtime/run-plugin'
import { network } from './fixtures/recording-exec'

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
