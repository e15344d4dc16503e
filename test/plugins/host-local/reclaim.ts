import t from 'tap'
import { Leases } from '../../../plugins/host-local/leases'
import { findAbandoned, reclaim } from '../../../plugins/host-local/reclaim'
import { change, makeRooms, writeLease } from './fixtures/rooms'

const caller = { containerID: 'new', netns: undefined }

t.test('only what is wanted and abandoned is given back, but all that its container has', async t => {
  const rooms = makeRooms(t.testdir())
  for (const [containerID, addresses] of [
    ['a', ['10.1.2.2', 'fd00::2']],
    ['b', ['10.1.2.3']],
  ] as const) {
    change(rooms, leases => {
      for (const address of addresses) leases.reserve(address, { containerID, ifName: 'eth0' })
      leases.note({ containerID, ifName: 'eth0' }, addresses, undefined)
    })
  }
  writeLease(rooms, '10.1.2.4', '')
  writeLease(rooms, '10.1.2.5', 'the-reference\r\neth0')
  rooms.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  const all = () => true
  t.match(findAbandoned(new Leases(rooms), caller, all), { torn: ['10.1.2.4'], ended: { length: 2 } })
  t.equal(
    change(rooms, leases => reclaim(leases, caller, address => address === '10.1.2.9')),
    false,
  )
  t.equal(
    change(rooms, leases => reclaim(leases, caller, address => address === '10.1.2.2')),
    true,
  )
  t.same([...rooms.store.names()].sort(), ['10.1.2.3', '10.1.2.4', '10.1.2.5'])
  change(rooms, leases => reclaim(leases, caller, all))
  t.same([...rooms.store.names()], ['10.1.2.5'], 'of what the reference made nothing is known')
})
