import t from 'tap'
import { formatResult, parseResult, type Result } from '../../../src/cni/result'
import { parseAddr } from '../../../src/ip/addr'
import { parseCidr } from '../../../src/ip/cidr'

const must = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('no value')
  return value
}
const cidr = (text: string) => must(parseCidr(text))
const addr = (text: string) => must(parseAddr(text))

const result = (): Result => ({
  interfaces: [
    { name: 'cbr0', mac: '0A:58:00:00:00:01', mtu: 1500 },
    { name: 'veth1', mac: '02:00:00:00:00:02' },
    { name: 'eth0', mac: '02:00:00:00:00:03', sandbox: '/run/netns/a' },
  ],
  ips: [
    { interface: 2, address: cidr('10.1.2.3/24'), gateway: addr('10.1.2.1') },
    { interface: 2, address: cidr('fd00::3/64'), gateway: addr('fd00::1') },
  ],
  routes: [
    { dst: cidr('0.0.0.0/0'), gw: addr('10.1.2.1'), mtu: 1400, table: 100 },
    { dst: cidr('fd01::/16') },
  ],
  dns: { nameservers: ['10.1.2.1'] },
})

// Key order and all: what the reference prints for the same result.
const golden = new Map([
  [
    '1.1.0',
    '{"cniVersion":"1.1.0","interfaces":[{"name":"cbr0","mac":"0a:58:00:00:00:01","mtu":1500},{"name":"veth1","mac":"02:00:00:00:00:02"},{"name":"eth0","mac":"02:00:00:00:00:03","sandbox":"/run/netns/a"}],"ips":[{"interface":2,"address":"10.1.2.3/24","gateway":"10.1.2.1"},{"interface":2,"address":"fd00::3/64","gateway":"fd00::1"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1","mtu":1400,"table":100},{"dst":"fd01::/16"}],"dns":{"nameservers":["10.1.2.1"]}}',
  ],
  [
    '1.0.0',
    '{"cniVersion":"1.0.0","interfaces":[{"name":"cbr0","mac":"0a:58:00:00:00:01"},{"name":"veth1","mac":"02:00:00:00:00:02"},{"name":"eth0","mac":"02:00:00:00:00:03","sandbox":"/run/netns/a"}],"ips":[{"interface":2,"address":"10.1.2.3/24","gateway":"10.1.2.1"},{"interface":2,"address":"fd00::3/64","gateway":"fd00::1"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1"},{"dst":"fd01::/16"}],"dns":{"nameservers":["10.1.2.1"]}}',
  ],
  ...(['0.4.0', '0.3.1', '0.3.0'] as const).map(
    version =>
      [
        version,
        `{"cniVersion":"${version}","interfaces":[{"name":"cbr0","mac":"0a:58:00:00:00:01"},{"name":"veth1","mac":"02:00:00:00:00:02"},{"name":"eth0","mac":"02:00:00:00:00:03","sandbox":"/run/netns/a"}],"ips":[{"version":"4","interface":2,"address":"10.1.2.3/24","gateway":"10.1.2.1"},{"version":"6","interface":2,"address":"fd00::3/64","gateway":"fd00::1"}],"routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1"},{"dst":"fd01::/16"}],"dns":{"nameservers":["10.1.2.1"]}}`,
      ] as const,
  ),
  ...(['0.2.0', '0.1.0'] as const).map(
    version =>
      [
        version,
        `{"cniVersion":"${version}","ip4":{"ip":"10.1.2.3/24","gateway":"10.1.2.1","routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1"}]},"ip6":{"ip":"fd00::3/64","gateway":"fd00::1","routes":[{"dst":"fd01::/16"}]},"dns":{"nameservers":["10.1.2.1"]}}`,
      ] as const,
  ),
] as const)

for (const [version, text] of golden) {
  t.test(`[${version}] a result is printed in that version's form`, async t => {
    t.equal(formatResult(result(), version), text)
  })

  t.test(`[${version}] what was printed is read back`, async t => {
    const read = parseResult(JSON.parse(text), version, 'prevResult')
    t.equal(formatResult(read, version), text)
    t.same(read.ips[0]?.address, cidr('10.1.2.3/24'))
  })
}

t.test('a result without a version has the configuration’s', async t => {
  t.equal(parseResult({ ip4: { ip: '10.1.2.3/24' } }, '0.2.0', 'prevResult').ips.length, 1)
})

t.test('keys of a result may come in any case and its parts may be null', async t => {
  const read = parseResult(
    { CNIVersion: '1.0.0', cniVersion: '1.0.0', IPs: [{ Address: '10.1.2.3/24' }], routes: null },
    '1.0.0',
    'x',
  )
  t.same([read.ips.length, read.routes], [1, []])
})

t.test('an empty result still has dns, and nothing else', async t => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} }
  t.equal(formatResult(empty, '1.0.0'), '{"cniVersion":"1.0.0","dns":{}}')
})

t.test('0.1.0 and 0.2.0 refuse what they cannot say', async t => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: {} }
  t.throws(() => formatResult(empty, '0.2.0'), { message: 'cannot convert: no valid IP addresses' })
  const two = { ...result(), ips: [{ address: cidr('fd00::3/64') }, { address: cidr('fd01::3/64') }] }
  t.throws(() => formatResult(two, '0.2.0'), {
    message: 'CNI version 0.2.0 does not support more than 1 address per family',
  })
})

t.test('a result that is none is refused with code 6, naming what it was to be', async t => {
  const cases: [unknown, RegExp][] = [
    ['text', /^prevResult is not a JSON object$/],
    [{ cniVersion: '9.9.9' }, /^prevResult has the unknown CNI version "9.9.9"$/],
    [{ cniVersion: '1.0.0', ips: [{ address: 'x' }] }, /^prevResult: "ips.0.address": expected an address/],
    [{ cniVersion: '1.0.0', interfaces: {} }, /^prevResult: "interfaces": expected Array/],
  ]
  for (const [value, message] of cases) {
    t.throws(() => parseResult(value, '1.0.0', 'prevResult'), { code: 6, message }, JSON.stringify(value))
  }
})
