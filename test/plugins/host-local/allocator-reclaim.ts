/** From a set that looks full the allocator gives out only reclaimable addresses. */
import { symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { writeLease } from './fixtures/lease-folders'
import { network } from './fixtures/network'

t.test('torn leases are given out when there is nothing else, or when asked for', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/29 10.1.2.2 10.1.2.4'])
  writeLease(leaseFolders, '10.1.2.2', '')
  writeLease(leaseFolders, '10.1.2.3', '\0\0')
  t.same(add('a'), ['10.1.2.4'])
  t.same(add('b', { ips: ['10.1.2.3'] }), ['10.1.2.3'])
  t.same(add('c'), ['10.1.2.2'])
  t.throws(() => add('d'), { code: 11 })
})

t.test('a file that is no lease keeps its address', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/30'])
  symlinkSync('/etc/hostname', `${leaseFolders.store.folder}/10.1.2.2`)
  t.throws(() => add('a'), {
    code: 11,
    details: /10\.1\.2\.2 by another object: ".*\/10\.1\.2\.2" is a symbolic link, not a regular file/,
  })
  t.throws(() => add('a', { ips: ['10.1.2.2'] }), { code: 11, details: /^leased by another object: / })
  writeFileSync(`${leaseFolders.store.folder}/10.1.2.6`, 'a lease out of the range')
  t.throws(() => add('a'), { code: 11, details: /^1 of 1 in use/ })
})

t.test('a full set takes addresses back from containers of an earlier boot', async t => {
  const { add, leaseFolders, leased } = network(t.testdir(), ['10.1.2.0/29', 'fd00::/64'])
  for (const name of ['a', 'b', 'c', 'd', 'e']) add(name)
  t.throws(() => add('f'), { code: 11 })
  leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  t.same(add('f'), ['10.1.2.2', 'fd00::7'])
  t.same(leased(), ['10.1.2.2', 'fd00::7'], 'all of them, of both families')
})

t.test(
  'a container that starts again after a power cut gets an address in spite of its old lease',
  async t => {
    const { add, leaseFolders, leased } = network(t.testdir(), ['10.1.2.0/24'])
    add('a')
    add('b', { ips: ['10.1.2.9'] })
    leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
    t.same(add('a'), ['10.1.2.10'])
    t.same(add('b', { ips: ['10.1.2.9'] }), ['10.1.2.9'])
    t.same(add('c', { ips: ['10.1.2.2'] }), ['10.1.2.2'])
    t.same(leased().sort(), ['10.1.2.10', '10.1.2.2', '10.1.2.9'])
  },
)

t.test('a full set takes addresses back whose namespaces are gone, never from the living', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/29'])
  const { here } = leaseFolders
  for (const [i, name] of ['a', 'b', 'c', 'd', 'e'].entries()) {
    const netns = { dev: 4, ino: 100 + i }
    here.netns.set(`/run/netns/${name}`, netns)
    add(name, { netns })
  }
  here.time += 120_000
  here.netns.delete('/run/netns/c')
  t.same(add('f'), ['10.1.2.4'])
  t.throws(() => add('g'), { code: 11 })
})

t.test('many pods that are never deleted do not exhaust a network', async t => {
  const { add, leaseFolders } = network(t.testdir(), ['10.1.2.0/28'])
  const { here } = leaseFolders
  for (let i = 0; i < 100; i++) {
    const netns = { dev: 4, ino: 100 } // the kernel's lowest free number, again and again
    here.netns.clear()
    here.netns.set(`/run/netns/pod${i}`, netns)
    t.equal(add(`pod${i}`, { netns }).length, 1)
    here.time += 61_000
  }
})

t.test('an address that was given back rests while there are others', async t => {
  const { add, del, leaseFolders } = network(t.testdir(), ['10.1.2.0/29'], { cooldownSeconds: 60 })
  for (const name of ['a', 'b', 'c', 'd']) add(name) // .2 to .5
  for (const name of ['a', 'b']) del(name)
  leaseFolders.here.time = Date.now() + 1000
  t.same(add('e'), ['10.1.2.6'])
  t.same(add('f'), ['10.1.2.2'], 'nothing else is left')
  t.same(add('g', { ips: ['10.1.2.3'] }), ['10.1.2.3'], 'asked for')
  del('d')
  del('g')
  leaseFolders.here.time += 61_000
  t.same(add('h'), ['10.1.2.5'], 'the rest is over: whose turn it is')
})
