import t from 'tap'
import { macForAddresses, macsOf } from '../../../plugins/bridge/mac'
import { hostVethName, portMac, vethName } from '../../../plugins/bridge/veth'
import { parseCidr } from '../../../src/ip/cidr'
import { formatAlias, parseAlias } from '../../../src/attachment/alias'
import { confOf } from './fixtures/call'

const id = { network: 'net', containerID: 'c1', ifName: 'eth0' }

t.test('hostVethName() never changes: an upgrade must find the veths of before', async t => {
  t.equal(hostVethName(id), 'veth548ea6ad')
  t.equal(hostVethName({ ...id, network: 'other' }), 'veth548ea6ad', 'a container has one eth0')
  t.not(hostVethName({ ...id, ifName: 'eth1' }), hostVethName(id))
  t.not(hostVethName(id, 1), hostVethName(id))
  t.match(hostVethName({ ...id, containerID: 'x'.repeat(200) }), /^veth[0-9a-f]{8}$/)
  t.match(vethName('br0.100'), /^veth[0-9a-f]{8}$/)
})

t.test('parseAlias() reads what formatAlias() wrote, and nothing else', async t => {
  t.equal(formatAlias(id), 'cni net c1 eth0')
  t.same(parseAlias(formatAlias(id)), id)
  for (const alias of [
    '',
    'cni',
    'cni net c1',
    'cni net c1 eth0 x',
    'net c1 eth0',
    'uplink',
    'gateway br0.100',
  ]) {
    t.equal(parseAlias(alias), undefined, JSON.stringify(alias))
  }
})

t.test('a port’s MAC is as high as MACs go, unicast and locally administered', async t => {
  t.equal(portMac('0123456789abcdef'), 'fe:01:23:45:67:89')
})

t.test('a container’s MAC goes with its first address', async t => {
  const cidrs = (...texts: string[]) => texts.flatMap(text => parseCidr(text) ?? [])
  t.equal(macForAddresses(cidrs('10.1.2.3/24')), '0a:58:0a:01:02:03')
  t.equal(macForAddresses(cidrs('10.1.2.3/24', 'fd00::2/64')), '0a:58:0a:01:02:03')
  t.match(macForAddresses(cidrs('fd00::2/64')), /^.[26ae]:/)
  t.not(macForAddresses(cidrs('fd00::2/64')), macForAddresses(cidrs('fd00::3/64')))
  t.equal(macForAddresses([]), undefined)
})

t.test('the MACs a veth is made with are its own, but for the one asked for', async t => {
  const macs = macsOf(id, confOf({}))
  t.match(macs.host, /^fe:/)
  t.match(macs.container, /^.[26ae]:/)
  t.not(macs.host, macs.container)
  t.same(macsOf(id, confOf({})), macs)
  t.equal(macsOf(id, confOf({ runtimeConfig: { mac: '02-00-00-00-00-AA' } })).container, '02:00:00:00:00:aa')
})
