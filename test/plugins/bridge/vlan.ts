import t from 'tap'
import { missingPortVlans, wantedVlans } from '../../../plugins/bridge/vlan'

const conf = (vlan: number, ...trunk: number[]) => ({ vlan, trunk, preserveDefaultVlan: false })
const native = (vid: number) => ({ first: vid, last: vid, pvid: true, untagged: true })

t.test('wantedVlans() has one VLAN without tags, and the trunk with them', async t => {
  t.same(wantedVlans(conf(0)), [])
  t.same(wantedVlans(conf(100)), [native(100)])
  t.same(wantedVlans(conf(0, 5, 6, 9)), [native(1), { first: 5, last: 6 }, { first: 9, last: 9 }])
  t.same(wantedVlans(conf(100, 5)), [native(100), { first: 5, last: 5 }])
  t.same(wantedVlans(conf(100, 99, 100, 101)), [
    native(100),
    { first: 99, last: 99 },
    { first: 101, last: 101 },
  ])
  t.same(wantedVlans(conf(0, 1, 2)), [native(1), { first: 2, last: 2 }])
})

t.test('missingVlans() says what a port lacks, and minds no more than that', async t => {
  const found = [
    { vid: 1, pvid: false, untagged: true },
    { vid: 100, pvid: true, untagged: true },
    { vid: 200, pvid: false, untagged: false },
  ]
  t.same(missingPortVlans(found, conf(100, 200)), [])
  t.same(missingPortVlans(found, conf(100)), [])
  t.same(missingPortVlans(found, conf(0)), [])
  t.same(missingPortVlans(found, conf(100, 200, 201)), ['201'])
  t.same(missingPortVlans(found, conf(1)), ['1 pvid untagged'], 'it is in, but not as the native one')
  t.same(missingPortVlans([], conf(100, 7)), ['100 pvid untagged', '7'])
})
