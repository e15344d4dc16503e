import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { formatCacheEntry, parseCacheEntry } from '../../../src/runtime/result-cache'

const golden = (name: string) => readFileSync(join(__dirname, 'fixtures/golden', name), 'utf8')

const minimal = '{"kind":"cniCacheV1","containerId":"c1","config":"e30=","ifName":"eth0","networkName":"net"}'

t.test('an entry of libcni 1.3.0 is written back byte for byte', async t => {
  for (const name of ['rich-c-1-eth0', 'old-c-2-eth0', 'single-c-3-eth0']) {
    const text = golden(`results/${name}`)
    const entry = parseCacheEntry(text)
    t.equal(entry && formatCacheEntry(entry), text, name)
  }
})

t.test('parseCacheEntry() reads the fields', async t => {
  const entry = parseCacheEntry(golden('results/rich-c-1-eth0'))
  t.match(entry, {
    containerID: 'c-1',
    ifName: 'eth0',
    network: 'rich',
    netns: '/run/netns/a',
    config: golden('10-rich.conflist'),
    args: [
      ['IgnoreUnknown', '1'],
      ['K8S_POD_NAME', 'a<b'],
    ],
    capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    result: { cniVersion: '1.1.0', ips: [{ address: '10.1.2.3/24' }] },
  })
})

t.test('formatCacheEntry() leaves out what is empty', async t => {
  const entry = { containerID: 'c1', ifName: 'eth0', network: 'net', netns: '', config: '{}' }
  t.equal(formatCacheEntry(entry), minimal)
  t.equal(formatCacheEntry({ ...entry, args: [], capabilityArgs: {}, result: {} }), minimal)
})

t.test('an empty dns is left out from 1.0.0 on and written before', async t => {
  const entry = { containerID: 'c1', ifName: 'eth0', network: 'net', netns: '', config: '{}' }
  const cases: [result: { cniVersion: string; dns?: object }, written: string][] = [
    [{ cniVersion: '1.0.0', dns: {} }, '{"cniVersion":"1.0.0"}'],
    [{ cniVersion: '1.0.0', dns: { domain: 'a' } }, '{"cniVersion":"1.0.0","dns":{"domain":"a"}}'],
    [{ cniVersion: '0.4.0' }, '{"cniVersion":"0.4.0","dns":{}}'],
  ]
  for (const [result, written] of cases) {
    t.equal(formatCacheEntry({ ...entry, result }), `${minimal.slice(0, -1)},"result":${written}}`)
  }
})

t.test('parseCacheEntry() finds nothing in garbage', async t => {
  t.ok(parseCacheEntry(minimal))
  for (const text of [
    '',
    '\0\0\0\0',
    minimal.slice(0, -1),
    'null',
    '[]',
    '{"cniVersion":"0.3.1","ips":[]}',
    minimal.replace('cniCacheV1', 'cniCacheV2'),
    minimal.replace('"c1"', '1'),
    minimal.replace('}', ',"result":[]}'),
    minimal.replace('}', ',"cniArgs":[["a"]]}'),
  ]) {
    t.equal(parseCacheEntry(text), undefined, JSON.stringify(text))
  }
})
