import t from 'tap'
import { CniError } from '../../../src/cni/error'
import { confVersions, parseConfList, parseSingleConf } from '../../../src/runtime/conf-list'

const failureOf = (parse: () => unknown): string => {
  try {
    parse()
    return 'no failure'
  } catch (error) {
    const { code, message } = CniError.from(error)
    return `${code} ${message}`
  }
}

const bridge = { type: 'bridge' }

t.test('parseConfList() reads a list and keeps its text', async t => {
  const text = `{
    "cniVersion": "0.4.0", "cniVersions": ["1.0.0"], "name": "my.net-1", "disableCheck": true, "disableGC": "True",
    "plugins": [
      { "type": "bridge", "zebra": 1, "alpha": 2, "capabilities": { "ips": true, "mac": false } },
      { "type": "portmap", "Capabilities": { "portMappings": true } }
    ]
  }`
  t.same(parseConfList(text, 'a.conflist'), {
    name: 'my.net-1',
    cniVersion: '1.0.0',
    cniVersions: ['0.4.0', '1.0.0'],
    disableCheck: true,
    disableGC: true,
    loadOnlyInlinedPlugins: false,
    plugins: [
      {
        type: 'bridge',
        capabilities: ['ips'],
        raw: { type: 'bridge', zebra: 1, alpha: 2, capabilities: { ips: true, mac: false } },
      },
      {
        type: 'portmap',
        capabilities: ['portMappings'],
        raw: { type: 'portmap', Capabilities: { portMappings: true } },
      },
    ],
    file: 'a.conflist',
    text,
  })
})

t.test('parseConfList() takes a list without plugins: they may be in files of their own', async t => {
  t.same(parseConfList('{"name":"net"}', 'a.conflist').plugins, [])
})

t.test('parseConfList() says which file is broken, and where', async t => {
  const cases = new Map<unknown, string>([
    ['{\n "name": "net",\n}', '6 a.conflist:3:1: expected a key but found "}"'],
    ['[]', '6 a.conflist:1:1: a network configuration is a JSON object'],
    [{ plugins: [bridge] }, '7 a.conflist: missing network name'],
    [{ name: 7, plugins: [bridge] }, '7 a.conflist: name is not a string: 7'],
    [
      { name: '../net', plugins: [bridge] },
      '7 a.conflist: invalid characters found in network name: "../net"',
    ],
    [
      { name: 'net\n', plugins: [bridge] },
      '7 a.conflist: invalid characters found in network name: "net\\n"',
    ],
    [{ name: 'net', cniVersion: '7.0.0', plugins: [bridge] }, '1 a.conflist: unknown CNI version "7.0.0"'],
    [{ name: 'net', plugins: {} }, '7 a.conflist: plugins is not a list: {}'],
    [{ name: 'net', plugins: [] }, '7 a.conflist: no plugins in list'],
    [{ name: 'net', plugins: [bridge, 'portmap'] }, '7 a.conflist: plugins[1]: a plugin is a JSON object'],
    [{ name: 'net', plugins: [bridge, { Type: '' }] }, '7 a.conflist: plugins[1]: missing "type"'],
    [{ name: 'net', plugins: [{ type: '../sh' }] }, '7 a.conflist: plugins[0]: invalid plugin name: ../sh'],
    [
      { name: 'net', plugins: [{ type: 'bridge', capabilities: { mac: 'yes' } }] },
      '7 a.conflist: plugins[0]: "capabilities.mac": expected boolean but received "yes"',
    ],
    [
      { name: 'net', disableGC: 'no', plugins: [bridge] },
      '7 a.conflist: disableGC is neither true nor false: "no"',
    ],
    [
      { name: 'net', loadOnlyInlinedPlugins: true },
      '7 a.conflist: loadOnlyInlinedPlugins is true, and there is no key "plugins"',
    ],
  ])
  for (const [conf, failure] of cases) {
    const text = typeof conf === 'string' ? conf : JSON.stringify(conf)
    t.equal(
      failureOf(() => parseConfList(text, 'a.conflist')),
      failure,
    )
  }
})

t.test('parseSingleConf() makes a list of one plugin', async t => {
  const raw = { name: 'net', type: 'bridge', cniVersion: '0.3.1', capabilities: { ips: true } }
  t.same(parseSingleConf(JSON.stringify(raw), 'a.conf'), {
    name: 'net',
    cniVersion: '0.3.1',
    cniVersions: ['0.3.1'],
    disableCheck: false,
    disableGC: false,
    loadOnlyInlinedPlugins: true,
    plugins: [{ type: 'bridge', capabilities: ['ips'], raw }],
    file: 'a.conf',
    text: '{"cniVersion":"0.3.1","name":"net","plugins":[{"capabilities":{"ips":true},"cniVersion":"0.3.1","name":"net","type":"bridge"}]}',
  })
  t.equal(
    failureOf(() => parseSingleConf('{"name":"net","plugins":[]}', 'a.json')),
    '7 a.json: a list of plugins is only read from a file called .conflist',
  )
  t.equal(
    failureOf(() => parseSingleConf('{"type":"bridge"}', 'a.conf')),
    '7 a.conf: missing network name',
  )
})

t.test('confVersions() are what both keys allow and the runtime knows, oldest first', async t => {
  const cases: [conf: { cniVersion?: unknown; cniVersions?: unknown }, versions: string[]][] = [
    [{}, ['0.1.0']],
    [{ cniVersion: '' }, ['0.1.0']],
    [{ cniVersion: '0.4.0' }, ['0.4.0']],
    [{ cniVersion: '0.4.0', cniVersions: [] }, ['0.4.0']],
    [{ cniVersions: ['1.1.0', '0.3.1', '1.0.0'] }, ['0.3.1', '1.0.0', '1.1.0']],
    [{ cniVersion: '1.0.0', cniVersions: ['0.4.0'] }, ['0.4.0', '1.0.0']],
    // Those of the future are for newer runtimes.
    [{ cniVersion: '9.0.0', cniVersions: ['0.4.0', '1.2.0'] }, ['0.4.0']],
  ]
  for (const [conf, versions] of cases)
    t.same(confVersions(conf, 'a.conflist'), versions, JSON.stringify(conf))
})

t.test('confVersions() refuses invalid and unknown versions', async t => {
  const cases: [conf: { cniVersion?: unknown; cniVersions?: unknown }, failure: string][] = [
    [{ cniVersion: 1 }, '7 a.conflist: cniVersion is not a string: 1'],
    [{ cniVersion: 'one' }, '7 a.conflist: not a CNI version: "one"'],
    [{ cniVersions: '1.0.0' }, '7 a.conflist: cniVersions is not a list: "1.0.0"'],
    [{ cniVersions: ['1.0.0', 4] }, '7 a.conflist: not a CNI version: 4'],
    [{ cniVersion: '2.0.0' }, '1 a.conflist: unknown CNI version "2.0.0"'],
  ]
  for (const [conf, failure] of cases) {
    try {
      confVersions(conf, 'a.conflist')
      t.fail(JSON.stringify(conf))
    } catch (error) {
      const { code, message } = error as { code: number; message: string }
      t.equal(`${code} ${message}`, failure)
    }
  }
})
