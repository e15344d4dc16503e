import t from 'tap'
import { readPortVlans } from '../../../src/netlink/bridge-vlan'

const hex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')

t.test('readPortVlans() reads single VLANs and spans, as the kernel compresses them', async t => {
  const spec = hex(
    '0800 0200 0600 0100', // IFLA_BRIDGE_VLAN_INFO: PVID and UNTAGGED, VLAN 1
    '0600 0000 0100 0000', // IFLA_BRIDGE_FLAGS, which says nothing here
    '0800 0200 0000 6500', // VLAN 101
    '0800 0200 0800 c800', // RANGE_BEGIN, VLAN 200
    '0800 0200 1000 ca00', // RANGE_END, VLAN 202
    '0800 0200 0400 2c01', // UNTAGGED, VLAN 300
  )
  const tagged = { pvid: false, untagged: false }
  t.same(readPortVlans(spec), [
    { vid: 1, pvid: true, untagged: true },
    { vid: 101, ...tagged },
    { vid: 200, ...tagged },
    { vid: 201, ...tagged },
    { vid: 202, ...tagged },
    { vid: 300, pvid: false, untagged: true },
  ])
  t.same(readPortVlans(Buffer.alloc(0)), [])
})
