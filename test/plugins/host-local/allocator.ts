import t from 'tap'
import { formatAddr } from '../../../src/ip/addr'
import { writeLease } from './fixtures/lease-folders'
import { must } from './fixtures/must'
import { network } from './fixtures/network'

t.test('addresses go round, and a freed one is not given again before its turn', async t => {
  const { add, del, leaseFolders } = network(t.testdir(), ['10.1.2.0/29'])
  t.same(add('a'), ['10.1.2.2'], 'the first is the gateway’s')
  del('a')
  t.same(add('b'), ['10.1.2.3'])
  t.same(add('c'), ['10.1.2.4'])
  t.same(add('d'), ['10.1.2.5'])
  t.same(add('e'), ['10.1.2.6'])
  t.same(add('f'), ['10.1.2.2'])
  t.equal(formatAddr(must(leaseFolders.store.lastReserved(0))), '10.1.2.2')
})

t.test('a container gets one address of each set, through all ranges of a set', async t => {
  const { add } = network(t.testdir(), ['10.1.2.0/30,10.1.3.0/30', 'fd00::/64'])
  t.same(add('a'), ['10.1.2.2', 'fd00::2'])
  t.same(add('b'), ['10.1.3.2', 'fd00::3'])
  t.throws(() => add('c'), {
    code: 11,
    message: /^failed to allocate for range 0: no IP addresses available/,
  })
})

t.test('a full set names itself, how much of it is used, and who has had it longest', async t => {
  const { add, leased, leaseFolders } = network(t.testdir(), ['10.1.2.0/29', 'fd00::/64'])
  for (const name of ['a', 'b', 'c']) {
    add(name)
    await new Promise(resolve => setTimeout(resolve, 15))
  }
  add('d')
  const before = leased()
  const last = leaseFolders.store.lastReserved(1)
  t.throws(() => add('f', { exclude: ['10.1.2.6'] }), {
    code: 11,
    message: 'failed to allocate for range 0: no IP addresses available in range set: 10.1.2.1-10.1.2.6',
    details:
      /^4 of 4 in use; the oldest leases: 10\.1\.2\.2 by container a, eth0, since 20\S+Z; 10\.1\.2\.3 by container b, \S+ \S+ \S+; 10\.1\.2\.4 by container c, eth0, since \S+$/,
  })
  t.same(leased(), before)
  t.same(leaseFolders.store.lastReserved(1), last)
})

t.test('whole or nothing: where one set is full no other is touched', async t => {
  const { add, leased, leaseFolders } = network(t.testdir(), ['fd00::/64', '10.1.2.0/30'])
  add('a')
  const last = leaseFolders.store.lastReserved(0)
  t.throws(() => add('b'), { code: 11, message: /^failed to allocate for range 1: no IP addresses/ })
  t.same(leased().sort(), ['10.1.2.2', 'fd00::2'])
  t.same(leaseFolders.store.lastReserved(0), last, 'the round robin of the other set has not moved')
})

t.test('a failed write is undone', async t => {
  const { add, leased, leaseFolders } = network(t.testdir(), ['10.1.2.0/24', 'fd00::/64'])
  const { store } = leaseFolders
  const failures: [string, () => void][] = [
    ['the second lease', () => (store.reserve = () => broken())],
    ['the last address', () => (store.setLastReserved = () => broken())],
  ]
  const broken = (): never => {
    throw new Error('disk full')
  }
  const { reserve, setLastReserved } = store
  for (const [title, fail] of failures) {
    Object.assign(store, { reserve, setLastReserved })
    fail()
    if (title === 'the second lease') {
      store.reserve = (address, owner) =>
        address.includes(':') ? broken() : reserve.call(store, address, owner)
    }
    t.throws(() => add('a'), { message: 'disk full' }, title)
    t.same(leased(), [], title)
  }
})

t.test('a second ADD of an attachment is refused and changes nothing', async t => {
  const { add, leased, leaseFolders } = network(t.testdir(), ['10.1.2.0/24', 'fd00::/64'])
  add('a')
  const last = leaseFolders.store.lastReserved(0)
  const message =
    'failed to allocate for range 0: 10.1.2.2 has been allocated to a, duplicate allocation is not allowed'
  t.throws(() => add('a'), { code: 7, message, details: '' })
  t.throws(() => add('a', { ips: ['10.1.2.9'] }), { code: 7, message }, 'with another address in mind')
  t.same(leased().sort(), ['10.1.2.2', 'fd00::2'])
  t.same(leaseFolders.store.lastReserved(0), last)
  t.same(add('a', { ifName: 'eth1' }), ['10.1.2.3', 'fd00::3'], 'another interface is another attachment')
})

t.test('a lease that names the container alone counts as the interface’s', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/24'])
  writeLease(leaseFolders, '10.1.2.7', 'a')
  t.throws(() => add('a'), { code: 7, message: /10\.1\.2\.7 has been allocated to a, duplicate/ })
  t.same(add('b'), ['10.1.2.2'])
})

t.test('a lease of a set that is configured no more is no duplicate, and is kept', async t => {
  const dataDir = t.testdir()
  network(dataDir, ['10.9.0.0/24']).add('a')
  const { add, leased } = network(dataDir, ['10.1.2.0/24'])
  t.same(add('a'), ['10.1.2.2'])
  t.same(leased().sort(), ['10.1.2.2', '10.9.0.2'])
})

t.test('an address asked for is given, of the set that has it', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/24', '10.1.3.0/24', 'fd00::/64'])
  t.same(add('a', { ips: ['fd00::77', '10.1.3.77'] }), ['10.1.2.2', '10.1.3.77', 'fd00::77'])
  t.equal(formatAddr(must(leaseFolders.store.lastReserved(1))), '10.1.3.77')
  t.same(add('b'), ['10.1.2.3', '10.1.3.78', 'fd00::78'], 'and the search goes on behind it')
})

t.test('addresses that cannot be given are refused, each in its words', async t => {
  const { add, leased } = network(t.testdir(), ['10.1.2.0/24 10.1.2.1 10.1.2.99', '10.1.3.0/24'])
  add('a', { ips: ['10.1.2.9'] })
  const before = leased()
  const cases: [string[], number, string | RegExp, string | RegExp][] = [
    [
      ['10.1.2.9'],
      11,
      'failed to allocate for range 0: requested IP address 10.1.2.9 is not available in range set 10.1.2.1-10.1.2.99',
      /^leased by container a, eth0, since \S+Z$/,
    ],
    [['10.1.2.1'], 7, "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway", ''],
    [['10.1.2.100'], 7, 'failed to allocate all requested IPs: 10.1.2.100', ''], // behind rangeEnd
    [['10.1.3.255'], 7, 'failed to allocate all requested IPs: 10.1.3.255', ''],
    [['10.1.2.7', '10.1.2.8'], 7, 'failed to allocate all requested IPs: 10.1.2.8', ''], // one to a set
    [['fd00::1', '10.9.9.9'], 7, 'failed to allocate all requested IPs: fd00::1 10.9.9.9', ''],
  ]
  for (const [ips, code, message, details] of cases) {
    t.throws(() => add('b', { ips }), { code, message, details }, ips.join(' '))
    t.same(leased(), before, ips.join(' '))
  }
})

t.test('addresses of staticRanges are given to who asks for them, and to no other program', async t => {
  const { add } = network(t.testdir(), ['10.1.2.0/29'])
  const staticRanges = ['10.1.2.3-10.1.2.5']
  t.same(add('a', { staticRanges, ips: ['10.1.2.4'] }), ['10.1.2.4'])
  t.same(add('b', { staticRanges }), ['10.1.2.6'])
  t.same(add('c', { staticRanges }), ['10.1.2.2'])
  t.throws(() => add('d', { staticRanges }), { code: 11, details: /^2 of 2 in use; / })
})

t.test('excluded addresses are never given out, also on request', async t => {
  const { add, leased } = network(t.testdir(), ['10.1.2.0/29'])
  const exclude = ['10.1.2.3-10.1.2.5']
  t.throws(() => add('a', { exclude, ips: ['10.1.2.4'] }), {
    code: 7,
    message: 'failed to allocate for range 0: requested ip 10.1.2.4 is excluded',
  })
  t.same(leased(), [])
  t.same([add('b', { exclude }), add('c', { exclude })], [['10.1.2.2'], ['10.1.2.6']])
  t.throws(() => add('d', { exclude }), { code: 11, details: /^2 of 2 in use; / })
})

t.test('a preferred address is given while it is free and its turn could come to it', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/29'])
  t.same(add('a', { preferred: ['10.1.2.5'] }), ['10.1.2.5'])
  t.equal(leaseFolders.store.lastReserved(0), undefined, 'the turn is where it was')
  t.same(add('b', { preferred: ['10.1.2.5'] }), ['10.1.2.2'], 'taken')
  t.same(add('c', { preferred: ['10.1.2.1'] }), ['10.1.2.3'], 'the gateway')
  t.same(add('d', { preferred: ['10.1.2.6'], staticRanges: ['10.1.2.6'] }), ['10.1.2.4'], 'for who asks')
})
