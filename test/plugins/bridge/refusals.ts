import t from 'tap'
import { refuseForIPv6, refuseUnusable } from '../../../plugins/bridge/refusals'
import { CniError } from '../../../src/cni/error'
import type { JsonObject } from '../../../src/cni/schema'
import { confOf } from './fixtures/call'

const saidBy = (work: () => void): [number, string] => {
  try {
    work()
  } catch (error) {
    if (error instanceof CniError) return [error.code, error.message]
    throw error
  }
  return [0, '']
}

const refusal = (more: JsonObject, args = '') => saidBy(() => refuseUnusable(confOf(more, args)))

t.test('refuseUnusable() refuses what contradicts itself, in the reference’s words', async t => {
  t.same(refusal({ hairpinMode: true, promiscMode: true }), [
    7,
    'cannot set hairpin mode and promiscuous mode at the same time',
  ])
  t.same(refusal({ ipam: { type: 'x' }, disableContainerInterface: true }), [
    7,
    'cannot use IPAM when DisableContainerInterface flag is set',
  ])
  t.same(refusal({ disableContainerInterface: true }), [0, ''])
})

t.test('refuseUnusable() takes an MTU from 68 to 65535', async t => {
  for (const mtu of [67, -1, 65536])
    t.same(refusal({ mtu }), [7, `"mtu": ${mtu} is not between 68 and 65535`])
  for (const mtu of [0, 68, 1500, 65535]) t.same(refusal({ mtu }), [0, ''])
})

t.test('refuseUnusable() takes names the kernel takes, the VLAN’s included', async t => {
  for (const bridge of ['0123456789abcdef', '..', 'a/b', 'a b', 'ünïcödé-ünïc']) {
    t.same(refusal({ bridge }), [7, `"bridge": no interface can be called "${bridge}"`])
  }
  const long = { bridge: '0123456789ab', vlan: 100 }
  t.same(refusal({ ...long, isGateway: true })[0], 7)
  t.same(refusal(long), [0, ''], 'without a gateway there is no interface for the VLAN')
})

t.test('refuseUnusable() says where a MAC that is none came from', async t => {
  t.same(refusal({}, 'MAC=x'), [4, 'CNI_ARGS: "x" is no MAC address'])
  t.same(refusal({ runtimeConfig: { mac: '02:00' } }), [7, 'runtimeConfig.mac: "02:00" is no MAC address'])
  t.same(refusal({ args: { cni: { mac: '02-00-00-00-00-AA' } } }), [0, ''])
})

t.test('refuseUnusable() knows the masquerading backends', async t => {
  t.same(refusal({ ipMasq: true, ipMasqBackend: 'ipfw' }), [7, 'unknown ipmasq backend "ipfw"'])
  t.same(refusal({ ipMasq: false, ipMasqBackend: 'ipfw' }), [0, ''])
})

t.test('refuseForIPv6() wants 1280 bytes for an IPv6 address', async t => {
  const check = (more: JsonObject, mtu: number) => saidBy(() => refuseForIPv6(confOf(more), mtu))
  t.same(check({ mtu: 1280 }, 1280), [0, ''])
  t.same(check({ mtu: 1279 }, 1279), [7, '"mtu": 1279 is not between 1280 and 65535, as IPv6 needs it'])
  t.match(check({}, 1000)[1], /^the smallest MTU of the host's interfaces, 1000,/)
  t.match(check({ ipv6: 'off' }, 1500), [7, /"ipv6" is "off"/])
})
