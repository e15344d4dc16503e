import t from 'tap'
import { completeGateways } from '../../../plugins/bridge/gateways'
import { parseResult, resultToJson } from '../../../src/cni/result'
import type { JsonObject } from '../../../src/cni/schema'
import { formatCidr } from '../../../src/ip/cidr'
import { confOf } from './fixtures/call'

/** What becomes of an IPAM result under a configuration: the gateways, the addresses and the routes. */
const complete = (more: JsonObject, ips: JsonObject[], routes: JsonObject[] = []) => {
  const result = parseResult({ cniVersion: '1.0.0', ips, routes }, '1.0.0', 'test')
  const gateways = completeGateways(result, confOf(more), 2).map(formatCidr)
  const json = resultToJson(result, '1.0.0')
  return { gateways, ips: 'ips' in json ? json.ips : [], routes: 'routes' in json ? (json.routes ?? []) : [] }
}

const isGateway = { isGateway: true }
const isDefaultGateway = { isDefaultGateway: true }

t.test('every address is the container’s', async t => {
  const { ips, gateways, routes } = complete({}, [
    { address: '10.1.2.5/24', interface: 7 },
    { address: 'fd00::5/64' },
  ])
  t.match(ips, [
    { address: '10.1.2.5/24', interface: 2, gateway: undefined },
    { address: 'fd00::5/64', interface: 2, gateway: undefined },
  ])
  t.same(gateways, [])
  t.same(routes, [])
})

t.test('the gateway is the IPAM plugin’s, else the first address of the subnet', async t => {
  const cases: [JsonObject, string, string][] = [
    [{ address: '10.1.2.5/24' }, '10.1.2.1', '10.1.2.1/24'],
    [{ address: '10.1.2.5/24', gateway: '10.1.2.254' }, '10.1.2.254', '10.1.2.254/24'],
    [{ address: '10.1.2.130/25' }, '10.1.2.129', '10.1.2.129/25'],
    [{ address: 'fd00:1::ffff/112' }, 'fd00:1::1', 'fd00:1::1/112'],
    [{ address: 'fd00:1::5/64', gateway: 'fe80::1' }, 'fe80::1', 'fe80::1/64'],
  ]
  for (const [ip, gateway, onBridge] of cases) {
    const completed = complete(isGateway, [ip])
    t.match(completed.ips, [{ gateway }])
    t.same(completed.gateways, [onBridge])
    t.same(completed.routes, [], 'a gateway is no route')
  }
})

t.test('a gateway of several addresses is one', async t => {
  t.same(complete(isGateway, [{ address: '10.1.2.5/24' }, { address: '10.1.2.6/24' }]).gateways, [
    '10.1.2.1/24',
  ])
  t.same(complete(isGateway, [{ address: '10.1.2.5/24' }, { address: '10.1.3.6/24' }]).gateways, [
    '10.1.2.1/24',
    '10.1.3.1/24',
  ])
})

t.test('isDefaultGateway makes one default route a family, over its first gateway', async t => {
  const ips = [{ address: 'fd00:2::5/64' }, { address: '10.1.2.5/24' }, { address: 'fd00:3::5/64' }]
  t.same(complete(isDefaultGateway, ips).routes, [
    { dst: '::/0', gw: 'fd00:2::1' },
    { dst: '0.0.0.0/0', gw: '10.1.2.1' },
  ])
})

t.test('a default route of the IPAM plugin is kept, and gets the gateway where it has none', async t => {
  const ips = [{ address: '10.1.2.5/24' }]
  const cases: [JsonObject[], JsonObject[]][] = [
    [[{ dst: '0.0.0.0/0', gw: '10.1.2.9' }], [{ dst: '0.0.0.0/0', gw: '10.1.2.9' }]],
    [[{ dst: '0.0.0.0/0' }], [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }]],
    [
      [{ dst: '192.0.2.0/24' }],
      [
        { dst: '192.0.2.0/24', gw: undefined },
        { dst: '0.0.0.0/0', gw: '10.1.2.1' },
      ],
    ],
    [
      [{ dst: '::/0', gw: 'fd00::1' }],
      [
        { dst: '::/0', gw: 'fd00::1' },
        { dst: '0.0.0.0/0', gw: '10.1.2.1' },
      ],
    ],
  ]
  for (const [given, expected] of cases) t.same(complete(isDefaultGateway, ips, given).routes, expected)
})
