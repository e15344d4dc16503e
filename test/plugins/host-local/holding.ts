import t from 'tap'
import { isLeaseName, readHoldings } from '../../../plugins/host-local/holding'
import { leaseKeyOf } from '../../../src/attachment/lease'
import { makeRooms, writeLease } from './fixtures/rooms'

t.test('isLeaseName() knows addresses from whatever else has dots and colons', async t => {
  for (const name of ['0.0.0.0', '10.1.2.3', '255.255.255.255', '10.0.200.19', 'fd00::3', '::']) {
    t.ok(isLeaseName(name), name)
  }
  for (const name of [
    'lock',
    'last_reserved_ip.0',
    '.new',
    '',
    '10.1.2',
    '10.1.2.3.',
    '10.1.2.3.4',
    '10.1.2.256',
    '010.1.2.3',
    '10.1.2.3~',
    '1.2.3.4:80',
    'fd00:::3',
    'c1:eth0',
  ]) {
    t.notOk(isLeaseName(name), name)
  }
})

t.test('readHoldings() puts the addresses of an attachment together, and torn leases aside', async t => {
  const rooms = makeRooms(t.testdir())
  for (const [address, content] of [
    ['10.1.2.3', 'c1\r\neth0'],
    ['fd00::3', 'c1\r\neth0'],
    ['10.1.2.4', 'c1\r\neth1'],
    ['10.1.2.5', 'c1'],
    ['10.1.2.6', ''],
  ] as const) {
    writeLease(rooms, address, content)
  }
  const names = ['10.1.2.3', 'fd00::3', '10.1.2.4', '10.1.2.5', '10.1.2.6', '10.1.2.7']
  const { holdings, torn } = readHoldings(rooms.store, names)
  const owner = { containerID: 'c1', ifName: 'eth0' }
  t.same(holdings.get(leaseKeyOf(owner)), {
    key: leaseKeyOf(owner),
    owner,
    addresses: ['10.1.2.3', 'fd00::3'],
  })
  t.same(
    [...holdings.values()].map(holding => [holding.owner.ifName, holding.addresses.length]),
    [
      ['eth0', 2],
      ['eth1', 1],
      [undefined, 1],
    ],
  )
  t.same([...torn], ['10.1.2.6'])
})
