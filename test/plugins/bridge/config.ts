import t from 'tap'
import { CniError } from '../../../src/cni/error'
import type { JsonObject } from '../../../src/cni/schema'
import { formatCidr } from '../../../src/ip/cidr'
import { confOf } from './fixtures/call'

/** The code and text with which a configuration is refused. */
const refusal = (more: JsonObject, args = ''): [number, string] => {
  try {
    confOf(more, args)
  } catch (error) {
    if (error instanceof CniError) return [error.code, error.message]
    throw error
  }
  return [0, '']
}

t.test('readBridgeConf() has a default for every key', async t => {
  t.same(confOf({}), {
    network: 'net',
    ipamType: undefined,
    expectsIPv6: false,
    bridge: 'cbr0',
    mtu: undefined,
    mtuOf: 'all',
    mtuOverhead: 0,
    mtuFallback: 1500,
    isGateway: false,
    isDefaultGateway: false,
    forceAddress: false,
    keepAddresses: false,
    masquerade: undefined,
    hairpin: false,
    promiscuous: false,
    vlan: 0,
    trunk: [],
    vlanFiltering: false,
    preserveDefaultVlan: false,
    uplinks: [],
    macSpoofCheck: false,
    dad: false,
    containerInterfaceUp: true,
    portIsolation: false,
    prune: false,
    vethPrefix: 'veth',
    ipv6: 'auto',
    bridgeNetfilter: 'off',
    mac: undefined,
    dns: undefined,
  })
})

t.test('null, empty text, 0 and unknown keys are as good as absent', async t => {
  const empty = { bridge: '', mtu: 0, ipam: {}, dns: {}, vlan: null, vlanTrunk: null, args: null, x: 1 }
  t.same(confOf({ ...empty, runtimeConfig: { mac: '' } }), confOf({}))
  t.same(confOf({ ipam: { type: '' } }), confOf({}))
})

t.test('keys match in any case', async t => {
  const conf = confOf({ Bridge: 'b', ISGATEWAY: true, RuntimeConfig: { MAC: '02:00:00:00:00:01' } })
  t.match(conf, {
    bridge: 'b',
    isGateway: true,
    mac: { text: '02:00:00:00:00:01', source: 'runtimeConfig.mac' },
  })
})

t.test('isDefaultGateway implies isGateway', async t => {
  t.match(confOf({ isDefaultGateway: true }), { isGateway: true, isDefaultGateway: true })
  t.match(confOf({ isGateway: false, isDefaultGateway: true }), { isGateway: true })
  t.match(confOf({ isGateway: true }), { isGateway: true, isDefaultGateway: false })
})

t.test('hairpinMode is a boolean, or kubenet’s name of a mode', async t => {
  const cases: [JsonObject, boolean, boolean][] = [
    [{ hairpinMode: true }, true, false],
    [{ hairpinMode: false }, false, false],
    [{ hairpinMode: 'hairpin-veth' }, true, false],
    [{ hairpinMode: 'promiscuous-bridge' }, false, true],
    [{ hairpinMode: 'none' }, false, false],
    [{ promiscMode: true }, false, true],
    [{ hairpinMode: true, promiscMode: true }, true, true],
  ]
  for (const [more, hairpin, promiscuous] of cases) t.match(confOf(more), { hairpin, promiscuous })
  t.equal(refusal({ hairpinMode: 'sometimes' })[0], 7)
})

t.test('nonMasqueradeCIDRs are networks, whatever host bits they have', async t => {
  const { masquerade } = confOf({ ipMasq: true, nonMasqueradeCIDRs: ['10.1.2.3/8', 'fd00::1/16'] })
  t.same(masquerade?.exempt.map(formatCidr), ['10.0.0.0/8', 'fd00::/16'])
  t.equal(confOf({ ipMasq: false, nonMasqueradeCIDRs: ['10.0.0.0/8'] }).masquerade, undefined)
  t.equal(refusal({ ipMasq: true, nonMasqueradeCIDRs: ['10.0.0.0'] })[0], 7)
})

t.test('an empty trunk turns VLAN filtering on, as in the reference', async t => {
  t.match(confOf({ vlanTrunk: [] }), { vlanFiltering: true, trunk: [] })
  t.match(confOf({ vlan: 5 }), { vlanFiltering: true, vlan: 5 })
  t.match(confOf({ vlan: 0 }), { vlanFiltering: false })
})

t.test('a VLAN that cannot be is refused in the reference’s words', async t => {
  for (const vlan of [-1, 4095, 5000]) {
    t.same(refusal({ vlan }), [7, `invalid VLAN ID ${vlan} (must be between 0 and 4094)`])
  }
  for (const vlan of [0, 1, 4094]) t.same(refusal({ vlan }), [0, ''])
})

t.test('the last MAC asked for wins, and is not judged yet', async t => {
  const args = { args: { cni: { mac: 'b' } } }
  const cases: [JsonObject, string, object | undefined][] = [
    [{}, 'MAC=a', { text: 'a', source: 'CNI_ARGS' }],
    [args, 'MAC=a', { text: 'b', source: 'args.cni.mac' }],
    [{ ...args, runtimeConfig: { mac: 'c' } }, 'MAC=a', { text: 'c', source: 'runtimeConfig.mac' }],
    [{}, '', undefined],
  ]
  for (const [more, cniArgs, mac] of cases) t.same(confOf(more, cniArgs).mac, mac)
  t.match(refusal({}, 'K8S_POD_NAME=x')[0], 4)
  t.same(refusal({}, 'K8S_POD_NAME=x;IgnoreUnknown=1'), [0, ''])
})

t.test('a value of the wrong type is refused by name', async t => {
  for (const [key, value] of Object.entries({
    mtu: '1500',
    isGateway: 'yes',
    vlan: 1.5,
    uplinks: 'eth0',
    ipv6: 'no',
  })) {
    const [code, message] = refusal({ [key]: value })
    t.equal(code, 7)
    t.match(message, `bridge: "${key}": `)
  }
})
