import { unlinkSync } from 'node:fs'
import t, { type Test } from 'tap'
import { Leases } from '../../../plugins/host-local/leases'
import {
  type Caller,
  collectAbandoned,
  endedHoldings,
  findAbandoned,
} from '../../../plugins/host-local/liveness'
import type { LeaseOwner } from '../../../src/attachment/lease'
import { change, makeRooms, writeLease } from './fixtures/lease-folders'

const minute = 60_000
const netns = (name: string, ino: number) => ({ path: `/run/netns/${name}`, dev: 4, ino })
const owner = (containerID: string): LeaseOwner => ({ containerID, ifName: 'eth0' })
const stranger: Caller = { containerID: 'new', netns: undefined }

/** A network on which a, b and c have an address each, made for namespaces that are all there. */
const threePods = (t: Test) => {
  const leaseFolders = makeRooms(t.testdir())
  ;['a', 'b', 'c'].forEach((containerID, i) => {
    const place = netns(containerID, 100 + i)
    leaseFolders.here.netns.set(place.path, place)
    leaseFolders.here.living.add(place.ino)
    change(leaseFolders, leases => {
      leases.reserve(`10.1.2.${i + 2}`, owner(containerID))
      leases.note(owner(containerID), [`10.1.2.${i + 2}`], place)
    })
  })
  leaseFolders.here.time += 2 * minute
  return leaseFolders
}

const ended = (leaseFolders: ReturnType<typeof makeRooms>, caller = stranger): string[] => {
  const leases = new Leases(leaseFolders)
  return endedHoldings(leases, leases.all(), caller)
    .map(holding => holding.owner.containerID)
    .sort()
}

t.test('containers whose namespace is there are alive, however old they are', async t => {
  const leaseFolders = threePods(t)
  t.same(ended(leaseFolders), [])
  leaseFolders.here.time += 1e9 * minute
  t.same(ended(leaseFolders), [])
})

t.test('a container of an earlier boot has ended, at once and whatever is at its path', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.time -= 2 * minute
  leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  t.same(ended(leaseFolders), ['a', 'b', 'c'])
})

t.test('a container of another host, which shares the folder, is never judged', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.hostName = 'node-2'
  leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  leaseFolders.here.netns.clear()
  leaseFolders.here.living.clear()
  t.same(ended(leaseFolders), [])
})

t.test('a container whose namespace is gone has ended, after a minute', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.netns.delete('/run/netns/b')
  leaseFolders.here.living.delete(101)
  t.same(ended(leaseFolders), ['b'])
  leaseFolders.here.time -= 2 * minute
  t.same(ended(leaseFolders), [])
  leaseFolders.here.time -= 60 * minute
  t.same(ended(leaseFolders), ['b'], 'made in the future: the clock was set back since')
})

t.test('a path that leads to another namespace is as good as gone', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.netns.set('/run/netns/b', netns('b', 999))
  t.same(ended(leaseFolders), [], 'but a process is still in the old one')
  leaseFolders.here.living.delete(101)
  t.same(ended(leaseFolders), ['b'])
})

t.test('a namespace without its path lives as long as a process is in it', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.netns.delete('/run/netns/b')
  t.same(ended(leaseFolders), [])
})

t.test('a number that the kernel gave to another container proves nothing', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.netns.delete('/run/netns/b')
  t.same(ended(leaseFolders, { containerID: 'new', netns: netns('new', 101) }), ['b'], 'to the caller')
  t.same(
    ended(leaseFolders, { containerID: 'b', netns: netns('other-path', 101) }),
    [],
    'b itself, by another path',
  )
  change(leaseFolders, leases => {
    leases.reserve('10.1.2.9', owner('d'))
    leases.note(owner('d'), ['10.1.2.9'], netns('d', 101))
  })
  leaseFolders.here.netns.set('/run/netns/d', netns('d', 101))
  t.same(ended(leaseFolders), ['b'], 'to one with a record')
  leaseFolders.here.netns.delete('/run/netns/d')
  t.same(ended(leaseFolders), [], 'to no known owner')
})

t.test('without a record that speaks of these very leases nothing is certain', async t => {
  const leaseFolders = threePods(t)
  leaseFolders.here.netns.clear()
  leaseFolders.here.living.clear()
  writeLease(leaseFolders, '10.1.2.8', 'the-reference\r\neth0')
  unlinkSync(`${leaseFolders.store.folder}/10.1.2.2`)
  await new Promise(resolve => setTimeout(resolve, 20))
  writeLease(leaseFolders, '10.1.2.2', 'a\r\neth0') // freed and leased again by the reference
  t.same(ended(leaseFolders), ['b', 'c'])
})

t.test('a container of which no namespace was seen ends with the boot only', async t => {
  const leaseFolders = makeRooms(t.testdir())
  change(leaseFolders, leases => {
    leases.reserve('10.1.2.2', owner('a'))
    leases.note(owner('a'), ['10.1.2.2'], undefined)
  })
  leaseFolders.here.time += 1e6 * minute
  t.same(ended(leaseFolders), [])
  leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  t.same(ended(leaseFolders), ['a'])
})

const caller = { containerID: 'new', netns: undefined }

t.test('only what is wanted and abandoned is given back, but all that its container has', async t => {
  const leaseFolders = makeRooms(t.testdir())
  for (const [containerID, addresses] of [
    ['a', ['10.1.2.2', 'fd00::2']],
    ['b', ['10.1.2.3']],
  ] as const) {
    change(leaseFolders, leases => {
      for (const address of addresses) leases.reserve(address, { containerID, ifName: 'eth0' })
      leases.note({ containerID, ifName: 'eth0' }, addresses, undefined)
    })
  }
  writeLease(leaseFolders, '10.1.2.4', '')
  writeLease(leaseFolders, '10.1.2.5', 'the-reference\r\neth0')
  leaseFolders.here.bootID = 'ffffffff-1111-2222-3333-444444444444'
  const all = () => true
  t.match(findAbandoned(new Leases(leaseFolders), caller, all), { torn: ['10.1.2.4'], ended: { length: 2 } })
  t.equal(
    change(leaseFolders, leases => collectAbandoned(leases, caller, address => address === '10.1.2.9')),
    false,
  )
  t.equal(
    change(leaseFolders, leases => collectAbandoned(leases, caller, address => address === '10.1.2.2')),
    true,
  )
  t.same([...leaseFolders.store.names()].sort(), ['10.1.2.3', '10.1.2.4', '10.1.2.5'])
  change(leaseFolders, leases => collectAbandoned(leases, caller, all))
  t.same([...leaseFolders.store.names()], ['10.1.2.5'], 'of what the reference made nothing is known')
})
