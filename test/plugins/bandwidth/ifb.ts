import t from 'tap'
import { halfMadeGroup, isMarkedAs, isUnmarked } from '../../../plugins/bandwidth/ifb'
import { shortened } from '../../../src/attachment/attachment'
import { formatAlias } from '../../../src/attachment/interfaces'
import type { Link } from '../../../src/netlink/link'

const id = { network: 'cl-net', containerID: 'c1', ifName: 'eth0' }
const link = (over: object) => ({ kind: 'ifb', alias: '', group: 0, name: 'bwp1', ...over }) as Link

t.test('an ifb is an attachment’s by its alias or, half made, by its group', async t => {
  const group = halfMadeGroup(id)
  t.ok(isMarkedAs(link({ alias: 'cni cl-net c1 eth0' }), id))
  const long = { network: 'n'.repeat(101), containerID: 'c1', ifName: 'eth0' }
  t.ok(isMarkedAs(link({ alias: formatAlias(shortened(long)) }), long), 'older versions wrote hashes earlier')
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
