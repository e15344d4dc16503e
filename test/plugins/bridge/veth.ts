import t from 'tap'
import { macForAddresses, macsOf, portMac } from '../../../plugins/bridge/veth'
import { parseCidr } from '../../../src/ip/cidr'
import { confOf } from './fixtures/call'

const id = { network: 'net', containerID: 'c1', ifName: 'eth0' }

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

t.test('the MACs a veth is made with are its own, except for the one asked for', async t => {
  const macs = macsOf(id, confOf({}))
  t.match(macs.host, /^fe:/)
  t.match(macs.container, /^.[26ae]:/)
  t.not(macs.host, macs.container)
  t.same(macsOf(id, confOf({})), macs)
  t.equal(macsOf(id, confOf({ runtimeConfig: { mac: '02-00-00-00-00-AA' } })).container, '02:00:00:00:00:aa')
})
