import t from 'tap'
import type { Found } from '../../../cli/gc/found'
import { type Evidence, groupByAttachment, judge } from '../../../cli/gc/judge'
import type { RecordedNetns } from '../../../src/life/judge'
import { fakeHere } from '../../fixtures/fake-host-view'

const nsfs = 4

/** A host with two namespaces, and a plain file where a third was; addresses from 10.0.0.1 to 10.0.0.9 are on interfaces. */
const evidence = (): Evidence & { here: ReturnType<typeof fakeHere> } => {
  const here = fakeHere()
  here.netns.set('/run/netns/a', { dev: nsfs, ino: 10 })
  here.netns.set('/run/netns/b', { dev: nsfs, ino: 11 })
  here.netns.set('/run/netns/file', { dev: 23, ino: 10 })
  return {
    here,
    isNetns: dev => dev === nsfs,
    hasInterface: name => ['cbr0', 'veth1'].includes(name),
    claimants: () => [],
    isNowhere: address => !/^10\.0\.0\.\d$/.test(address),
  }
}

const of = (containerID: string, object: string, more: Partial<Found> = {}): Found => ({
  containerID,
  ifName: 'eth0',
  object,
  ...more,
})

/** What a record says, of a namespace at a path. */
const recorded = (path: string, ino: number, containerID = 'c1') => {
  const netns: RecordedNetns = { path, dev: nsfs, ino }
  return { subject: { network: 'net', containerID, ifName: 'eth0', netns, pidNamespace: 4 } }
}

const verdict = (...found: Found[]) =>
  judge(groupByAttachment(found), [], evidence()).map(({ valid, why }) => [valid, why])

t.test('objects of one interface of one container belong together', async t => {
  const groups = groupByAttachment([
    of('c1', 'cached result', { netns: '/run/netns/a' }),
    of('c2', 'lease 10.0.0.3'),
    of('c1', 'lease 10.0.0.2'),
    of('c1', 'lease 10.0.0.2'),
  ])
  t.match(groups, [
    { containerID: 'c1', objects: ['cached result', 'lease 10.0.0.2'] },
    { containerID: 'c2', objects: ['lease 10.0.0.3'] },
  ])
})

t.test('by its record an attachment is dead when its namespace is', async t => {
  t.same(verdict(of('c1', 'x', recorded('/run/netns/a', 10))), [[true, '/run/netns/a is there']])
  t.same(verdict(of('c1', 'x', recorded('/run/netns/gone', 10))), [[false, '/run/netns/gone is gone']])
  t.same(verdict(of('c1', 'x', recorded('/run/netns/a', 99))), [
    [false, '/run/netns/a is another namespace now: 10, and was 99'],
  ])
  t.same(
    verdict(of('c1', 'x', recorded('/run/netns/old', 99)), of('c1', 'y', { netns: '/run/netns/a' })),
    [[true, '/run/netns/a is there']],
    'unless a runtime knows of a later one',
  )
})

t.test('by a cached path alone it may be alive, but not dead', async t => {
  const netns = '/run/netns/gone'
  const cases: [Partial<Found>, boolean, string][] = [
    [{ netns: '/run/netns/a' }, true, '/run/netns/a is there'],
    [{ netns }, true, '/run/netns/gone is gone; the container may still run elsewhere'],
    [
      { netns: '/run/netns/file' },
      true,
      '/run/netns/file is no network namespace any more; the container may still run elsewhere',
    ],
    [
      { netns, hostEnds: { bridge: 'cbr0', veth: 'veth1' } },
      true,
      '/run/netns/gone is gone; the container may still run elsewhere',
    ],
    [
      { netns, hostEnds: { bridge: 'cbr0', veth: 'veth2' } },
      false,
      '/run/netns/gone is gone, and its veth on the host too',
    ],
    [
      { netns, hostEnds: { bridge: 'cni0', veth: 'veth2' } },
      true,
      '/run/netns/gone is gone; the container may still run elsewhere',
    ],
    [
      { netns, addresses: ['10.0.0.2'] },
      true,
      '/run/netns/gone is gone; the container may still run elsewhere',
    ],
    [{ netns, addresses: ['10.0.0.20'] }, false, '/run/netns/gone is gone'],
  ]
  for (const [found, valid, why] of cases) t.same(verdict(of('c1', 'x', found)), [[valid, why]])
})

t.test('without a path the host’s end of its veth and its addresses tell', async t => {
  t.same(verdict(of('c1', 'lease')), [[true, 'its network namespace is unknown']])
  t.same(verdict(of('c1', 'veth', { isConnection: true })), [[true, 'its interface leads to a namespace']])
  const lease = (ageMs: number) =>
    verdict(of('c1', 'lease', { addresses: ['10.0.0.20'], madeAt: Date.now() - ageMs }))
  t.same(lease(70_000), [[false, 'no network namespace has its address']])
  t.same(lease(1000), [[true, 'its network namespace is unknown']], 'it may be being added')
  t.same(lease(-70_000), [[false, 'no network namespace has its address']], 'the clock was set back')
  t.same(verdict(of('c1', 'element', { isLast: true })), [[false, 'nothing else is left of it']])
})

t.test('objects from before this boot belong to no live container, if there are no others', async t => {
  const netns = '/run/netns/gone'
  const before = { writtenAt: 1000 }
  const judgedAt = (change: (here: ReturnType<typeof fakeHere>) => void, ...found: Found[]) => {
    const seen = evidence()
    seen.here.booted = 2000
    change(seen.here)
    return judge(groupByAttachment(found), [], seen).map(({ valid, why }) => [valid, why])
  }
  const nothing = () => {}
  const dead = '/run/netns/gone is gone, and all that is left was written before this boot'
  const doubtful = '/run/netns/gone is gone; the container may still run elsewhere'
  const cached = of('c1', 'cached result', { netns, ...before })
  t.same(judgedAt(nothing, cached), [[false, dead]])
  t.same(judgedAt(nothing, cached, of('c1', 'lease', before)), [[false, dead]])
  t.same(judgedAt(nothing, of('c1', 'cached result', { netns, writtenAt: 3000 })), [[true, doubtful]])
  t.same(judgedAt(nothing, cached, of('c1', 'lease', { writtenAt: 3000 })), [[true, doubtful]])
  t.same(judgedAt(nothing, cached, of('c1', 'iptables rules')), [[true, doubtful]], 'no boot outlives rules')
  t.same(
    judgedAt(here => {
      here.blind = 'not all can be seen'
    }, cached),
    [[true, doubtful]],
  )
  t.same(
    judgedAt(
      nothing,
      of('c1', 'cached result', { netns, ...before, hostEnds: { bridge: 'cni0', veth: 'veth1' } }),
    ),
    [[true, doubtful]],
    'its veth on the host is there',
  )
  t.same(judgedAt(nothing, of('c1', 'cached result', { netns: '/run/netns/a', ...before })), [
    [true, '/run/netns/a is there'],
  ])
})

t.test('an attachment that is named is valid whatever it looks like', async t => {
  const known = groupByAttachment([of('c1', 'x', recorded('/run/netns/gone', 10))])
  t.match(judge(known, [{ containerID: 'c1', ifName: 'eth0' }], evidence()), [
    { valid: true, why: 'named by --attachment' },
  ])
  t.match(judge(known, [{ containerID: 'c1', ifName: 'eth1' }], evidence()), [{ valid: false }])
})

t.test('an object that names only a container belongs to its attachments, the valid one first', async t => {
  const found = [
    of('c1', 'x', recorded('/run/netns/gone', 99)),
    of('c1', 'y', { ifName: 'net1', netns: '/run/netns/b' }),
    of('c1', 'iptables rules', { ifName: undefined }),
    of('c2', 'iptables rules', { ifName: undefined, addresses: ['10.0.0.20'] }),
    of('c3', 'iptables rules', { ifName: undefined, addresses: ['10.0.0.2'] }),
  ]
  t.match(judge(groupByAttachment(found), [], evidence()), [
    { containerID: 'c1', ifName: 'eth0', valid: false, objects: ['x'] },
    { containerID: 'c1', ifName: 'net1', valid: true, objects: ['y', 'iptables rules'] },
    { containerID: 'c2', ifName: undefined, valid: false, objects: ['iptables rules'] },
    { containerID: 'c3', ifName: undefined, valid: true, objects: ['iptables rules'] },
  ])
})
