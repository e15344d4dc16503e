import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import t from 'tap'
import { isClean } from '../../../plugins/host-local/file'
import { isLeaseName, type LeaseFolders, Leases, readHoldings } from '../../../plugins/host-local/leases'
import { LeaseStore } from '../../../plugins/host-local/store'
import { type LeaseOwner, leaseKeyOf } from '../../../src/attachment/lease'
import { change, makeRooms, writeLease } from './fixtures/lease-folders'
import { must } from './fixtures/must'

const owner = (containerID: string, ifName: string | undefined = 'eth0'): LeaseOwner => ({
  containerID,
  ifName,
})
const c1 = owner('c1')
const c2 = owner('c2')

/** Leases addresses as ADD does. */
const lease = (leaseFolders: LeaseFolders, who: LeaseOwner, ...addresses: string[]): void =>
  change(leaseFolders, leases => {
    for (const address of addresses) leases.reserve(address, who)
    leases.setLastReserved(0, addresses.at(-1) ?? '')
    leases.note(who, addresses, undefined)
  })

const leaseNames = ({ store }: LeaseFolders): string[] => [...store.names()].filter(isLeaseName)

const isInOrder = ({ store, records, here }: LeaseFolders): boolean =>
  isClean(store.folder, here.bootID) && isClean(records.folder, here.bootID)

const addressesOf = (leaseFolders: LeaseFolders, who: LeaseOwner): readonly string[] =>
  new Leases(leaseFolders).of(who)?.addresses ?? []

/** LeaseFolders whose leases cannot be opened but those named: what a command opens that it need not fails the test. */
const watched = (leaseFolders: ReturnType<typeof makeRooms>, allowed: readonly string[]): LeaseFolders => {
  const store = new LeaseStore(leaseFolders.store.folder.replace(/\/net$/, ''), 'net')
  const { read } = LeaseStore.prototype
  store.read = address => {
    if (!allowed.includes(address)) throw new Error(`${address} was opened`)
    return read.call(store, address)
  }
  return { ...leaseFolders, store }
}

t.test('a command leaves leases, a record for each attachment, and both folders marked as clean', async t => {
  const leaseFolders = makeRooms(t.testdir())
  lease(leaseFolders, c1, '10.1.2.3', 'fd00::3')
  lease(leaseFolders, c2, '10.1.2.4')
  t.same(leaseNames(leaseFolders).sort(), ['10.1.2.3', '10.1.2.4', 'fd00::3'])
  t.same(leaseFolders.records.keys().sort(), [leaseKeyOf(c1), leaseKeyOf(c2)].sort())
  t.same(Object.keys(leaseFolders.records.read(leaseKeyOf(c1))?.leases ?? {}), ['10.1.2.3', 'fd00::3'])
  t.ok(isInOrder(leaseFolders))
})

t.test(
  'a folder in which nothing was leased in turn stays unmarked, so that the next ADD looks around',
  async t => {
    const leaseFolders = makeRooms(t.testdir())
    change(leaseFolders, leases => t.ok(leases.isNew))
    change(leaseFolders, leases => t.ok(leases.isNew, 'the command before changed nothing of that'))
    leaseFolders.store.reserve('10.1.2.3', c1)
    change(leaseFolders, leases => t.ok(leases.isNew, 'one that looked around was killed'))
    lease(leaseFolders, c2, '10.1.2.4')
    change(leaseFolders, leases => t.notOk(leases.isNew))
  },
)

t.test('while the folders are clean, only the leases asked for are opened', async t => {
  const leaseFolders = makeRooms(t.testdir())
  lease(leaseFolders, c1, '10.1.2.3')
  lease(leaseFolders, c2, '10.1.2.4')
  const seen = watched(leaseFolders, ['10.1.2.3'])
  const leases = new Leases(seen)
  t.same(leases.of(c1)?.addresses, ['10.1.2.3'])
  t.equal(leases.of(owner('c3')), undefined)
  t.equal(leases.of(owner('c1', 'eth1')), undefined)
  t.throws(() => leases.of(c2), { message: '10.1.2.4 was opened' })
  change(seen, changed => changed.release(must(changed.of(c1))))
  t.same(leaseNames(leaseFolders), ['10.1.2.4'])
  t.ok(isInOrder(leaseFolders))
})

t.test('the folder is read only when many addresses in a row are taken', async t => {
  const leaseFolders = makeRooms(t.testdir())
  for (let i = 2; i < 40; i++) writeLease(leaseFolders, `10.1.2.${i}`, `c${i}`)
  change(leaseFolders, leases => leases.setLastReserved(0, '10.1.2.39'))
  const seen = watched(leaseFolders, [])
  let readings = 0
  seen.store.names = () => {
    readings++
    return leaseFolders.store.names()
  }
  const leases = new Leases(seen)
  const taken = (last: number) => Array.from({ length: last }, (_, i) => leases.isTaken(`10.1.2.${i}`))
  t.same(taken(16).lastIndexOf(false), 1)
  t.equal(readings, 0)
  t.same(taken(45).filter(Boolean).length, 38)
  t.equal(readings, 1)
  leases.reserve('10.1.2.77', c1)
  t.ok(leases.isTaken('10.1.2.77'))
  leases.releaseAddress('10.1.2.77')
  t.notOk(leases.isTaken('10.1.2.77'))
})

t.test('leases the reference made are opened once, and known from then on', async t => {
  const leaseFolders = makeRooms(t.testdir())
  writeLease(leaseFolders, '10.1.2.3', 'c1\r\neth0')
  writeLease(leaseFolders, 'fd00::3', 'c1\r\neth0')
  writeLease(leaseFolders, '10.1.2.4', 'old')
  lease(leaseFolders, c2, '10.1.2.5')
  t.ok(isInOrder(leaseFolders))
  t.same(leaseFolders.records.keys(), [leaseKeyOf(c2)], 'only ours has a record')
  const seen = watched(leaseFolders, ['10.1.2.3', 'fd00::3'])
  t.same([...addressesOf(seen, c1)].sort(), ['10.1.2.3', 'fd00::3'])
  t.same(addressesOf(seen, owner('nobody')), [])
  t.same(addressesOf(leaseFolders, { containerID: 'old', ifName: undefined }), ['10.1.2.4'])
  change(leaseFolders, leases => leases.release(must(leases.of(c1))))
  t.same(leaseNames(leaseFolders).sort(), ['10.1.2.4', '10.1.2.5'])
  t.notMatch(readFileSync(`${leaseFolders.records.folder}/foreign`, 'utf8'), leaseKeyOf(c1))
  t.ok(isInOrder(leaseFolders))
})

t.test('later changes of the reference are seen, whatever the records say', async t => {
  const leaseFolders = makeRooms(t.testdir())
  lease(leaseFolders, c1, '10.1.2.3')
  // The reference frees the address, and gives it to another container.
  unlinkSync(`${leaseFolders.store.folder}/10.1.2.3`)
  writeLease(leaseFolders, '10.1.2.3', 'c2\r\neth0')
  t.same(addressesOf(leaseFolders, c1), [])
  t.same(addressesOf(leaseFolders, c2), ['10.1.2.3'])
  change(leaseFolders, () => {})
  t.same(leaseFolders.records.keys(), [], 'the record of c1 is gone')
  t.ok(isInOrder(leaseFolders))
  t.same(addressesOf(leaseFolders, c2), ['10.1.2.3'])
})

t.test('a record that lies does no harm', async t => {
  const lies: [string, (leaseFolders: LeaseFolders, key: string) => void][] = [
    ['it is gone', ({ records }, key) => records.remove(key)],
    ['all of them are gone', ({ records }) => rmSync(records.folder, { recursive: true })],
    ['it is empty', ({ records }, key) => writeFileSync(`${records.folder}/${key}`, '')],
    [
      'it names the address of another',
      ({ records }, key) => {
        const record = records.read(key)
        if (record) records.write({ ...record, leases: { '10.1.2.4': '1:1' } })
      },
    ],
    [
      'it names an address that is not leased',
      ({ records }, key) => {
        const record = records.read(key)
        if (record) records.write({ ...record, leases: { ...record.leases, '10.1.2.9': '1:1' } })
      },
    ],
    [
      'it names none',
      ({ records }, key) => {
        const record = records.read(key)
        if (record) records.write({ ...record, leases: {} })
      },
    ],
    [
      'there is one of a container without leases, for the address of another',
      ({ records, store }) => {
        unlinkSync(`${store.folder}/10.1.2.3`)
        writeFileSync(`${store.folder}/10.1.2.3`, 'c1\r\neth0')
        records.write({
          containerID: 'c3',
          ifName: 'eth0',
          leases: { '10.1.2.3': '' },
          host: '',
          bootID: '',
          time: 0,
        })
      },
    ],
  ]
  for (const [title, lie] of lies) {
    const leaseFolders = makeRooms(t.testdir())
    lease(leaseFolders, c1, '10.1.2.3')
    lease(leaseFolders, c2, '10.1.2.4')
    lie(leaseFolders, leaseKeyOf(c1))
    t.same(addressesOf(leaseFolders, c1), ['10.1.2.3'], `${title}: nothing is hidden`)
    t.same(addressesOf(leaseFolders, c2), ['10.1.2.4'], `${title}: and no other`)
    t.same(addressesOf(leaseFolders, owner('c3')), [], `${title}: c3 has none`)
    change(leaseFolders, leases => leases.release(must(leases.of(c1))))
    t.same(leaseNames(leaseFolders), ['10.1.2.4'], `${title}: it can be given back`)
    t.same(addressesOf(leaseFolders, c2), ['10.1.2.4'], title)
  }
})

t.test('a mark of another boot, or of another host, is none', async t => {
  const leaseFolders = makeRooms(t.testdir())
  lease(leaseFolders, c1, '10.1.2.3')
  leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  t.notOk(isInOrder(leaseFolders))
  t.same(addressesOf(leaseFolders, c1), ['10.1.2.3'])
  change(leaseFolders, () => {})
  t.ok(isInOrder(leaseFolders))
  t.equal(
    leaseFolders.records.read(leaseKeyOf(c1))?.bootID,
    '0f0f0f0f-1111-2222-3333-444444444444',
    'the record stays',
  )
})

t.test('a command that fails half-way leaves no mark, and the next one repairs', async t => {
  const leaseFolders = makeRooms(t.testdir())
  lease(leaseFolders, c1, '10.1.2.3')
  const failing = () =>
    change(leaseFolders, leases => {
      leases.reserve('10.1.2.4', c2)
      writeFileSync(`${leaseFolders.store.folder}/.new`, 'c2')
      throw new Error('killed')
    })
  t.throws(failing, { message: 'killed' })
  t.notOk(isInOrder(leaseFolders))
  t.same(addressesOf(leaseFolders, c2), ['10.1.2.4'], 'a lease without a record')
  change(leaseFolders, leases => leases.release(must(leases.of(c2))))
  t.same(leaseNames(leaseFolders), ['10.1.2.3'])
  t.ok(isInOrder(leaseFolders))
})

t.test('where no records can be kept everything works', async t => {
  const dataDir = t.testdir()
  writeFileSync(`${dataDir}/.kubenet`, 'a file')
  const leaseFolders = makeRooms(dataDir)
  lease(leaseFolders, c1, '10.1.2.3')
  lease(leaseFolders, c2, '10.1.2.4')
  t.same(addressesOf(leaseFolders, c1), ['10.1.2.3'])
  change(leaseFolders, leases => leases.release(must(leases.of(c1))))
  t.same(leaseNames(leaseFolders), ['10.1.2.4'])
})

t.test('files that are no leases have no owner, and stay', async t => {
  const leaseFolders = makeRooms(t.testdir())
  const names = ['10.1.2', '10.1.2.300', '010.1.2.3', 'last_reserved_ip.0', 'lock', 'note', 'abc', 'fd00:::3']
  for (const name of names) writeLease(leaseFolders, name, 'c1\r\neth0')
  symlinkSync('note', `${leaseFolders.store.folder}/10.1.2.7`)
  const leases = new Leases(leaseFolders)
  t.same([leases.all(), leases.torn()], [[], []])
  t.ok(leases.isTaken('10.1.2.7'))
  change(leaseFolders, () => {})
  t.same(readdirSync(leaseFolders.store.folder).sort(), [...names, '10.1.2.7'].sort())
})

t.test('torn leases are recognised', async t => {
  const leaseFolders = makeRooms(t.testdir())
  writeLease(leaseFolders, '10.1.2.3', '')
  writeLease(leaseFolders, '10.1.2.4', '\0\0\0\0')
  writeLease(leaseFolders, '10.1.2.5', 'c')
  const leases = new Leases(leaseFolders)
  t.same(leases.torn().sort(), ['10.1.2.3', '10.1.2.4'])
  t.same(
    leases.all().map(({ owner: who }) => who),
    [{ containerID: 'c', ifName: undefined }],
  )
})

t.test('recordOf() is the record of these very leases', async t => {
  const leaseFolders = makeRooms(t.testdir())
  lease(leaseFolders, c1, '10.1.2.3')
  const holding = must(new Leases(leaseFolders).of(c1))
  t.equal(new Leases(leaseFolders).recordOf(holding)?.containerID, 'c1')
  t.equal(new Leases(leaseFolders).recordOf({ ...holding, addresses: ['10.1.2.3', '10.1.2.4'] }), undefined)
  // The reference frees it and leases it again: the same bytes, another lease.
  unlinkSync(`${leaseFolders.store.folder}/10.1.2.3`)
  await new Promise(resolve => setTimeout(resolve, 20))
  writeLease(leaseFolders, '10.1.2.3', 'c1\r\neth0')
  t.equal(new Leases(leaseFolders).recordOf(holding), undefined)
})

t.test('CHECK and STATUS, which only look, write nothing', async t => {
  const leaseFolders = makeRooms(t.testdir())
  writeLease(leaseFolders, '10.1.2.3', 'c1\r\neth0')
  t.same(addressesOf(leaseFolders, c1), ['10.1.2.3'])
  t.notOk(existsSync(leaseFolders.records.folder))
})

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
  const leaseFolders = makeRooms(t.testdir())
  for (const [address, content] of [
    ['10.1.2.3', 'c1\r\neth0'],
    ['fd00::3', 'c1\r\neth0'],
    ['10.1.2.4', 'c1\r\neth1'],
    ['10.1.2.5', 'c1'],
    ['10.1.2.6', ''],
  ] as const) {
    writeLease(leaseFolders, address, content)
  }
  const names = ['10.1.2.3', 'fd00::3', '10.1.2.4', '10.1.2.5', '10.1.2.6', '10.1.2.7']
  const { holdings, torn } = readHoldings(leaseFolders.store, names)
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
