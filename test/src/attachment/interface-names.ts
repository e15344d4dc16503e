import t from 'tap'
import { hostVethName, ifbNames, referenceIfbName, vethName } from '../../../src/attachment/interfaces'

const id = { network: 'net', containerID: 'c1', ifName: 'eth0' }

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
