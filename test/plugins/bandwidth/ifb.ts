import t from 'tap'
import {
  formatAlias,
  halfMadeGroup,
  ifbNames,
  isAliasOn,
  isMarkedAs,
  isUnmarked,
  referenceName,
} from '../../../plugins/bandwidth/ifb'
import type { Link } from '../../../src/netlink/link'

const id = { network: 'cl-net', containerID: 'c1', ifName: 'eth0' }
const link = (over: object) => ({ kind: 'ifb', alias: '', group: 0, name: 'bwp1', ...over }) as Link

t.test('referenceName() is the reference’s', async t => {
  // The reference's own tests, then what cnitool and containerd were answered.
  t.equal(referenceName({ network: 'cni-plugin-bandwidth-test', containerID: 'dummy' }), 'bwpa8eda89404b7')
  t.equal(
    referenceName({ network: 'cl-net', containerID: 'cnitool-43a1f034d3c754499a9f' }),
    'bwp2bb9a12b2e88',
  )
  t.equal(
    referenceName({
      network: 'cl-cri',
      containerID: '7733b91e3e769474dc59f0a7843757622928300c789d6ad260f0e4fdb75b7abd',
    }),
    'bwpa5203469c6ca',
  )
})

t.test('the second name tells interfaces apart, the first does not', async t => {
  const [first, second] = ifbNames(id)
  const [otherFirst, otherSecond] = ifbNames({ ...id, ifName: 'eth1' })
  t.equal(first, otherFirst)
  t.not(second, otherSecond)
  t.match(second, /^bwp[0-9a-f]{12}$/)
  t.equal(ifbNames(id)[1], second, 'it is the same each time')
})

t.test('an alias names the attachment in 255 bytes at most', async t => {
  t.equal(formatAlias(id), 'cni cl-net c1 eth0')
  const long = { network: 'n'.repeat(250), containerID: 'c'.repeat(250), ifName: 'abcdefghijklmno' }
  t.ok(formatAlias(long).length <= 255)
  t.not(formatAlias(long), formatAlias({ ...long, containerID: 'c'.repeat(251) }))
  t.ok(isAliasOn(formatAlias(long), long.network))
})

t.test('isAliasOn() takes the network’s whole name', async t => {
  t.ok(isAliasOn('cni cl-net c1 eth0', 'cl-net'))
  t.notOk(isAliasOn('cni cl-net2 c1 eth0', 'cl-net'))
  t.notOk(isAliasOn('cni cl c1 eth0', 'cl-net'))
  t.notOk(isAliasOn('', 'cl-net'))
})

t.test('an ifb is an attachment’s by its alias or, half made, by its group', async t => {
  const group = halfMadeGroup(id)
  t.ok(isMarkedAs(link({ alias: 'cni cl-net c1 eth0' }), id))
  t.ok(isMarkedAs(link({ group }), id))
  t.notOk(isMarkedAs(link({ alias: 'cni cl-net c1 eth1' }), id))
  t.notOk(isMarkedAs(link({ alias: 'cni cl-net c1 eth1', group }), id), 'the alias counts more')
  t.notOk(isMarkedAs(link({ group: halfMadeGroup({ ...id, ifName: 'eth1' }) }), id))
  t.notOk(isMarkedAs(link({ kind: 'veth', alias: 'cni cl-net c1 eth0' }), id))
  t.ok(isUnmarked(link({})))
  t.notOk(isUnmarked(link({ group })))
  t.notOk(isUnmarked(link({ kind: 'veth' })))
})

t.test('halfMadeGroup() fits the kernel’s 32 bits, signed', async t => {
  for (let i = 0; i < 100; i++) {
    const group = halfMadeGroup({ ...id, containerID: `c${i}` })
    t.ok(Number.isInteger(group) && group >= 2 ** 30 && group < 2 ** 31)
  }
})
