import t from 'tap'
import { readHostLocalConf } from '../../../plugins/host-local/config'
import { formatRangeSet, formatSpan } from '../../../plugins/host-local/range'
import { formatAddr } from '../../../src/ip/addr'
import { callOf } from './fixtures/call'

const subnet = '10.1.2.0/24'

/** Reads a configuration with this `ipam`, and whatever else there is beside it. */
const read = (ipam: unknown, rest: Record<string, unknown> = {}, args = '') =>
  readHostLocalConf(callOf({ ipam, ...rest }, { args }))

t.test('a subnet is all that is needed', async t => {
  const conf = read({ type: 'host-local', subnet })
  t.same(
    { ...conf, rangeSets: conf.rangeSets.map(formatRangeSet) },
    {
      network: 'net',
      dataDir: '/var/lib/cni/networks',
      rangeSets: ['10.1.2.1-10.1.2.254'],
      requested: [],
      excluded: [],
      withheld: [],
      stickyPod: undefined,
      probe: undefined,
      routes: [],
      resolvConf: undefined,
      cooldownSeconds: 0,
    },
  )
})

t.test('keys are found in any case, and null and "" are absent', async t => {
  const conf = read(
    {
      Ranges: [[{ Subnet: subnet, RangeSTART: '10.1.2.9', rangeEnd: null, gateway: '' }]],
      DataDir: '/run/leases',
      routes: null,
      resolvConf: '',
      Name: 'something',
      exclude: null,
      cooldownseconds: 7,
    },
    { RuntimeConfig: { IPs: ['10.1.2.77'] }, dns: {}, args: null },
  )
  t.same(conf.rangeSets.map(formatRangeSet), ['10.1.2.9-10.1.2.254'])
  t.same(conf.requested.map(formatAddr), ['10.1.2.77'])
  t.match(conf, { dataDir: '/run/leases', routes: [], resolvConf: undefined, cooldownSeconds: 7 })
})

t.test('range sets come in the order runtime, old-style subnet, ranges', async t => {
  const conf = read(
    { subnet, rangeStart: '10.1.2.5', ranges: [[{ subnet: '10.3.0.0/24' }], [{ subnet: 'fd00::/64' }]] },
    { runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }], [{ subnet: '10.9.1.0/24' }]] } },
  )
  t.same(conf.rangeSets.map(formatRangeSet), [
    '10.9.0.1-10.9.0.254',
    '10.9.1.1-10.9.1.254',
    '10.1.2.5-10.1.2.254',
    '10.3.0.1-10.3.0.254',
    'fd00::1-fd00::ffff:ffff:ffff:ffff',
  ])
})

t.test('addresses are asked for in three ways, with or without a length, each counted once', async t => {
  const conf = read(
    { subnet },
    {
      args: { cni: { ips: ['10.1.2.4/24', 'fd00::5'] } },
      runtimeConfig: { ips: ['10.1.2.4', '10.1.2.6/16', '10.1.2.4'] }, // podman sends the same one twice
    },
    'IP=10.1.2.3;IgnoreUnknown=1;K8S_POD_NAME=a',
  )
  t.same(conf.requested.map(formatAddr), ['10.1.2.3', '10.1.2.4', 'fd00::5', '10.1.2.6'])
  t.same(read({ subnet }, {}, 'IP=10.1.2.3/24').requested.map(formatAddr), ['10.1.2.3'])
  t.same(read({ subnet }, {}, 'IP=').requested, [])
  t.same(read({ subnet }, {}, 'K8S_POD_UID=x;IgnoreUnknown=true').requested, [])
})

t.test('CNI_ARGS that cannot be understood are refused with code 4', async t => {
  const cases = new Map([
    ['K8S_POD_NAME=a', 'ARGS: unknown args ["K8S_POD_NAME=a"]'],
    ['IP=10.1.2.3;MAC=x;IgnoreUnknown=0', 'ARGS: unknown args ["MAC=x"]'],
    ['none', 'ARGS: invalid pair "none"'],
    ['IP=10.1.2', 'ARGS: error parsing value of pair "IP=10.1.2": invalid IP address 10.1.2'],
    ['IP=10.1.2.3/x', 'ARGS: error parsing value of pair "IP=10.1.2.3/x": invalid IP address 10.1.2.3/x'],
  ])
  for (const [args, message] of cases) t.throws(() => read({ subnet }, {}, args), { code: 4, message }, args)
})

t.test('routes keep everything that a route of 1.1.0 may have', async t => {
  const full = {
    dst: '192.0.2.0/24',
    gw: '10.1.2.1',
    mtu: 1400,
    advmss: 1360,
    priority: 10,
    table: 100,
    scope: 253,
  }
  const { routes } = read({ subnet, routes: [{ dst: '0.0.0.0/0' }, full] })
  t.equal(routes.length, 2)
  t.match(routes[1], { mtu: 1400, advmss: 1360, priority: 10, table: 100, scope: 253 })
})

t.test('exclusions and static ranges are read in all their forms', async t => {
  const exclude = ['10.1.2.9', '10.1.2.16/30', '10.1.2.40-10.1.2.49']
  const { excluded, withheld } = read({ subnet, exclude, staticRanges: ['10.1.2.128/25'] })
  const spans = ['10.1.2.9-10.1.2.9', '10.1.2.16-10.1.2.19', '10.1.2.40-10.1.2.49']
  t.same(excluded.map(formatSpan), spans)
  t.same(withheld.map(formatSpan), [...spans, '10.1.2.128-10.1.2.255'], 'neither is given out in turn')
})

t.test('with "sticky" CNI_ARGS name the pod, without it they may not', async t => {
  const args = 'K8S_POD_NAMESPACE=web;K8S_POD_NAME=db-0'
  t.equal(read({ subnet, sticky: 'pod' }, {}, args).stickyPod, 'web/db-0')
  t.equal(read({ subnet, sticky: 'pod' }, {}, 'K8S_POD_NAME=db-0').stickyPod, undefined)
  t.equal(read({ subnet }, {}, `IgnoreUnknown=1;${args}`).stickyPod, undefined)
  t.throws(() => read({ subnet }, {}, args), { code: 4, message: /^ARGS: unknown args/ })
})

t.test('a configuration is refused with code 7', async t => {
  const cases: [string, unknown, Record<string, unknown>, string][] = [
    ['no ipam', undefined, {}, "IPAM config missing 'ipam' key"],
    ['no ranges', { type: 'host-local' }, {}, 'no IP ranges specified'],
    ['an empty list of ranges', { ranges: [] }, {}, 'no IP ranges specified'],
    ['a start without a subnet', { rangeStart: '10.1.2.3' }, {}, 'no IP ranges specified'],
    ['an empty set', { ranges: [[{ subnet }], []] }, {}, 'invalid range set 1: empty range set'],
    ['the old subnet is set 0', { subnet: '10.1.2.4/24' }, {}, /^invalid range set 0: Network has host bits/],
    [
      'two sets with one address in common',
      { subnet, ranges: [[{ subnet: '10.2.0.0/24' }, { subnet: '10.1.0.0/16' }]] },
      {},
      'range set 0 overlaps with 1',
    ],
    [
      'sets that overlap further on',
      { ranges: [[{ subnet: '10.3.0.0/24' }], [{ subnet }], [{ subnet: 'fd00::/64' }], [{ subnet }]] },
      {},
      'range set 1 overlaps with 3',
    ],
    ['no address', { subnet: '10.1.2/24' }, {}, /"ipam.subnet": expected an address with a prefix length/],
    ['a number', { subnet: 24 }, {}, /"ipam.subnet": expected string but received 24/],
    ['ipam that is a list', [], {}, /"ipam": expected Object/],
    ['ranges not in sets', { ranges: [{ subnet }] }, {}, /"ipam.ranges.0": expected Array/],
    ['a gateway that is none', { subnet, gateway: 'gw' }, {}, /"ipam.gateway": expected an IP address/],
    ['a route without a target', { subnet, routes: [{}] }, {}, /"ipam.routes.0.dst"/],
    ['an exclusion that is none', { subnet, exclude: ['all'] }, {}, /^"exclude": "all" is no address/],
    [
      'a static range that is none',
      { subnet, staticRanges: ['10.1.2.9-10.1.2.3'] },
      {},
      /^"staticRanges": "10.1.2.9-10.1.2.3" is no address/,
    ],
    ['a wait below nothing', { subnet, cooldownSeconds: -1 }, {}, /"ipam.cooldownSeconds": expected a whole/],
    ['an address that is none', { subnet }, { runtimeConfig: { ips: ['x'] } }, 'cannot understand ip: "x"'],
    ['an empty address', { subnet }, { args: { cni: { ips: [''] } } }, 'cannot understand ip: ""'],
    [
      'a length that is none',
      { subnet },
      { runtimeConfig: { ips: ['10.1.2.3/99'] } },
      /^cannot understand ip/,
    ],
  ] as [string, unknown, Record<string, unknown>, string][]
  for (const [title, ipam, rest, message] of cases) {
    t.throws(() => read(ipam, rest), { code: 7, message }, title)
  }
})

t.test('before 0.3.0 there is one address a family', async t => {
  const ranges = [[{ subnet: 'fd00::/64' }], [{ subnet: 'fd01::/64' }]]
  for (const cniVersion of ['0.1.0', '0.2.0']) {
    const message = `CNI version ${cniVersion} does not support more than 1 address per family`
    t.throws(() => read({ ranges }, { cniVersion }), { code: 7, message, details: '' })
    t.equal(read({ subnet, ranges: ranges.slice(1) }, { cniVersion }).rangeSets.length, 2, 'one of each')
  }
  t.equal(read({ ranges }, { cniVersion: '0.3.0' }).rangeSets.length, 2)
})
