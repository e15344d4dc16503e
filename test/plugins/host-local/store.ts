import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { LeaseStore } from '../../../plugins/host-local/store'
import { formatAddr } from '../../../src/ip/addr'

const owner = { containerID: 'c1', ifName: 'eth0' }

t.test('locked() makes the folder and the lock file, and answers what the work answers', async t => {
  const store = new LeaseStore(`${t.testdir()}/a/b`, 'net')
  t.notOk(store.exists())
  t.equal(await store.locked(() => 7), 7)
  t.ok(store.exists())
  t.same(readdirSync(store.folder), ['lock'])
})

t.test('locked() answers a lock file that cannot be opened with code 5', async t => {
  const store = new LeaseStore(t.testdir({ net: {} }), 'net')
  symlinkSync('/dev/null', `${store.folder}/lock`)
  await t.rejects(
    store.locked(() => t.fail('was locked')),
    { code: 5, message: `lock "${store.folder}/lock": ELOOP` },
  )
})

t.test('a lease is one file, for root alone, with the bytes of the reference', async t => {
  const store = new LeaseStore(t.testdir({ net: {} }), 'net')
  t.equal(store.reserve('10.1.2.3', owner), true)
  t.equal(store.reserve('fd00::3', owner), true)
  store.sync()
  t.same(readdirSync(store.folder).sort(), ['10.1.2.3', 'fd00::3'])
  t.same(readFileSync(`${store.folder}/10.1.2.3`), Buffer.from('63310d0a65746830', 'hex'))
  t.equal(statSync(`${store.folder}/fd00::3`).mode & 0o777, 0o600)
  t.equal(statSync(`${store.folder}/fd00::3`).nlink, 1)
  t.same(store.read('10.1.2.3'), owner)
  t.ok(Math.abs(store.madeAt('10.1.2.3') - Date.now()) < 60_000)
})

t.test('a lease that was not waited for can be given back, and sync() waits for the others', async t => {
  const store = new LeaseStore(t.testdir({ net: {} }), 'net')
  const open = readdirSync('/proc/self/fd').length
  store.reserve('10.1.2.3', owner)
  store.reserve('10.1.2.4', owner)
  t.equal(store.reserve('10.1.2.4', owner), false)
  store.release('10.1.2.3')
  store.sync()
  store.sync()
  t.same(readdirSync(store.folder), ['10.1.2.4'])
  t.equal(readdirSync('/proc/self/fd').length, open, 'no file is left open')
})

t.test('many leases at once do not keep as many files open', async t => {
  const store = new LeaseStore(t.testdir({ net: {} }), 'net')
  const open = readdirSync('/proc/self/fd').length
  for (let i = 2; i < 102; i++) t.equal(store.reserve(`10.1.2.${i}`, owner), true)
  t.ok(readdirSync('/proc/self/fd').length <= open + 32)
  store.sync()
  t.equal(store.names().size, 100)
  t.equal(readdirSync('/proc/self/fd').length, open)
})

t.test('an address that is taken, by whatever, is not leased and not changed', async t => {
  const store = new LeaseStore(t.testdir({ net: { '10.1.2.3': 'c9\r\neth0', '10.1.2.4': {} } }), 'net')
  symlinkSync('nowhere', `${store.folder}/10.1.2.5`)
  for (const address of ['10.1.2.3', '10.1.2.4', '10.1.2.5']) {
    t.equal(store.reserve(address, owner), false, address)
  }
  t.same(store.read('10.1.2.3'), { containerID: 'c9', ifName: 'eth0' })
  t.same(readdirSync(store.folder).sort(), ['10.1.2.3', '10.1.2.4', '10.1.2.5'], 'nothing else is left')
})

t.test('read() knows an owner from a torn lease, and both from what is no lease', async t => {
  const store = new LeaseStore(
    t.testdir({ net: { '10.1.2.3': '', '10.1.2.4': 'c1', '10.1.2.5': {} } }),
    'net',
  )
  symlinkSync('10.1.2.4', `${store.folder}/10.1.2.6`)
  t.equal(store.read('10.1.2.3'), 'torn')
  t.same(store.read('10.1.2.4'), { containerID: 'c1', ifName: undefined })
  for (const address of ['10.1.2.5', '10.1.2.6', '10.1.2.7']) t.equal(store.read(address), undefined, address)
})

t.test('release() frees one address, once or twice', async t => {
  const store = new LeaseStore(t.testdir({ net: { '10.1.2.3': 'c1', '10.1.2.4': 'c1' } }), 'net')
  store.release('10.1.2.3')
  store.release('10.1.2.3')
  t.same([...store.names()], ['10.1.2.4'])
})

t.test('identity() is another for every lease of an address', async t => {
  const store = new LeaseStore(t.testdir({ net: {} }), 'net')
  t.equal(store.identity('10.1.2.3'), undefined)
  store.reserve('10.1.2.3', owner)
  const first = store.identity('10.1.2.3')
  t.equal(store.identity('10.1.2.3'), first)
  // The file system may use the inode's number again, but not in the same moment.
  store.release('10.1.2.3')
  await new Promise(resolve => setTimeout(resolve, 20))
  store.reserve('10.1.2.3', owner)
  t.not(store.identity('10.1.2.3'), first)
})

t.test(
  'what a killed command was writing is removed, and a lease that it is a second name of stays',
  async t => {
    const store = new LeaseStore(t.testdir({ net: { '10.1.2.3': 'c1\r\neth0' } }), 'net')
    linkSync(`${store.folder}/10.1.2.3`, `${store.folder}/.new`)
    store.removeLeftover()
    store.removeLeftover()
    t.same([...store.names()], ['10.1.2.3'])
    t.same(store.read('10.1.2.3'), owner)
  },
)

t.test('the address given out last is noted bare, for each range set', async t => {
  const store = new LeaseStore(t.testdir({ net: {} }), 'net')
  t.equal(store.lastReserved(0), undefined)
  store.setLastReserved(0, '10.1.2.254')
  store.setLastReserved(0, '10.1.2.3')
  store.setLastReserved(12, 'fd00::3')
  t.equal(readFileSync(`${store.folder}/last_reserved_ip.0`, 'utf8'), '10.1.2.3')
  t.equal(readFileSync(`${store.folder}/last_reserved_ip.12`, 'utf8'), 'fd00::3')
  const last = store.lastReserved(12)
  t.equal(last && formatAddr(last), 'fd00::3')
})

t.test('a note of the last address that cannot be read as one counts as none', async t => {
  const store = new LeaseStore(t.testdir({ net: { 'last_reserved_ip.1': {} } }), 'net')
  for (const content of ['', '10.1.2', '10.1.2.3000', '10.1.2.3 10.1.2.4']) {
    writeFileSync(`${store.folder}/last_reserved_ip.0`, content)
    t.equal(store.lastReserved(0), undefined, JSON.stringify(content))
  }
  t.equal(store.lastReserved(1), undefined, 'a folder')
  symlinkSync('last_reserved_ip.0', `${store.folder}/last_reserved_ip.2`)
  t.equal(store.lastReserved(2), undefined, 'a link')
})

t.test('a network whose folder is a file is none', async t => {
  const dataDir = t.testdir({ net: '' })
  t.notOk(new LeaseStore(dataDir, 'net').exists())
  mkdirSync(`${dataDir}/other`)
  t.ok(new LeaseStore(dataDir, 'other').exists())
})
