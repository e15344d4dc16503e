import t from 'tap'
import { Leases } from '../../../plugins/host-local/leases'
import { parseSpan, rangeSet } from '../../../plugins/host-local/range'
import { formatUsage, leasedIn, refuseFull } from '../../../plugins/host-local/refusals'
import { cidr } from './fixtures/addr'
import { makeRooms, writeLease } from './fixtures/lease-folders'

const set = rangeSet([{ subnet: cidr('10.1.2.0/29') }], 0)

t.test('leasedIn() counts what can be given out, not what was asked for beside it', async t => {
  const leaseFolders = makeRooms(t.testdir())
  // The gateway, two that can be given out, one that is excluded, others of elsewhere.
  for (const address of ['10.1.2.1', '10.1.2.2', '10.1.2.3', '10.1.2.5', '10.1.2.9', 'fd00::2']) {
    writeLease(leaseFolders, address, 'c1\r\neth0')
  }
  const excluded = [parseSpan('10.1.2.4-10.1.2.5', 'exclude')]
  const used = leasedIn(new Leases(leaseFolders), set, excluded)
  t.same(used.sort(), ['10.1.2.2', '10.1.2.3'])
  t.equal(formatUsage(used.length, set, excluded), '2 of 3 in use')
})

t.test('refuseFull() speaks up when the next ADD would fail, not before', async t => {
  const leaseFolders = makeRooms(t.testdir())
  const check = () => refuseFull(new Leases(leaseFolders), set, [])
  // Names that are no leases of the set count for nothing.
  for (const name of ['lock', 'a', 'b', 'c', '10.1.2.1', '10.9.9.9']) writeLease(leaseFolders, name, 'c1')
  check()
  for (const address of ['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5'])
    writeLease(leaseFolders, address, 'c1')
  check()
  writeLease(leaseFolders, '10.1.2.6', '')
  check()
  writeLease(leaseFolders, '10.1.2.6', 'c2\r\neth0')
  t.throws(check, { code: 50, details: '5 of 5 in use' })
})
