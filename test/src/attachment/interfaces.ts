import t from 'tap'
import { isOn, shortened } from '../../../src/attachment/attachment'
import {
  formatAlias,
  hostVethName,
  ifbNames,
  isAliasOf,
  parseAlias,
  referenceIfbName,
  vethName,
} from '../../../src/attachment/interfaces'

const id = { network: 'net', containerID: 'c1', ifName: 'eth0' }

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

t.test('an alias has whole names as long as 255 bytes have room for them', async t => {
  const full = { network: 'n'.repeat(180), containerID: 'c'.repeat(64), ifName: 'net0' }
  t.equal(formatAlias(full).length, 254)
  t.same(parseAlias(formatAlias(full)), full)
})

t.test('where there is no room, the long ones of the two names stand as hashes', async t => {
  const long = { network: 'n'.repeat(200), containerID: 'a'.repeat(64), ifName: 'eth0' }
  t.equal(
    formatAlias(long),
    `cni sha512:8a59181277a22cf5bf4b472f4d1f5f24a3e0da460c789a8057b53f96452afdba ${'a'.repeat(64)} eth0`,
  )
  const longest = { network: 'n'.repeat(255), containerID: 'c'.repeat(2000), ifName: 'abcdefghijklmno' }
  t.ok(formatAlias(longest).length <= 255)
  t.not(formatAlias(longest), formatAlias({ ...longest, containerID: 'c'.repeat(2001) }))
})

t.test('isAliasOf() takes an alias of hashes too where there would have been room', async t => {
  const long = { network: 'n'.repeat(120), containerID: 'c1', ifName: 'eth0' }
  t.ok(isAliasOf(formatAlias(long), long))
  t.ok(isAliasOf(formatAlias(shortened(long)), long), 'as older versions of bandwidth wrote it')
  t.notOk(isAliasOf(formatAlias(long), { ...long, network: 'n'.repeat(121) }))
  t.notOk(isAliasOf('', long))
})

t.test('the network of an alias is compared as a whole', async t => {
  const on = (alias: string, network: string) => {
    const named = parseAlias(alias)
    return named !== undefined && isOn(named, network)
  }
  t.ok(on('cni cl-net c1 eth0', 'cl-net'))
  t.notOk(on('cni cl-net2 c1 eth0', 'cl-net'))
  t.notOk(on('cni cl c1 eth0', 'cl-net'))
  const long = 'n'.repeat(200)
  t.ok(on(formatAlias({ network: long, containerID: 'c'.repeat(100), ifName: 'eth0' }), long))
})

t.test('hostVethName() never changes: an upgrade must find the veths of before', async t => {
  t.equal(hostVethName(id), 'veth548ea6ad')
  t.not(hostVethName({ ...id, ifName: 'eth1' }), hostVethName(id))
  t.not(hostVethName(id, 1), hostVethName(id))
  t.match(hostVethName({ ...id, containerID: 'x'.repeat(200) }), /^veth[0-9a-f]{8}$/)
  t.match(vethName('br0.100'), /^veth[0-9a-f]{8}$/)
})

t.test('referenceIfbName() is the reference’s', async t => {
  // The reference's own tests, then what cnitool and containerd were answered.
  t.equal(referenceIfbName({ network: 'cni-plugin-bandwidth-test', containerID: 'dummy' }), 'bwpa8eda89404b7')
  t.equal(
    referenceIfbName({ network: 'cl-net', containerID: 'cnitool-43a1f034d3c754499a9f' }),
    'bwp2bb9a12b2e88',
  )
  t.equal(
    referenceIfbName({
      network: 'cl-cri',
      containerID: '7733b91e3e769474dc59f0a7843757622928300c789d6ad260f0e4fdb75b7abd',
    }),
    'bwpa5203469c6ca',
  )
})

t.test('the second name of an ifb tells interfaces apart, the first does not', async t => {
  const [first, second] = ifbNames(id)
  const [otherFirst, otherSecond] = ifbNames({ ...id, ifName: 'eth1' })
  t.equal(first, otherFirst)
  t.not(second, otherSecond)
  t.match(second, /^bwp[0-9a-f]{12}$/)
  t.equal(ifbNames(id)[1], second, 'it is the same each time')
})
