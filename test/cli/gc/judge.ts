import t from 'tap'
import { groupByAttachment, judge, type NetnsAt } from '../../../cli/gc/judge'

const nsfs = 4

/** A host with two namespaces, and a plain file where a third was. */
const netnsAt: NetnsAt = path =>
  ({
    '/proc/self/ns/net': { dev: nsfs, ino: 1 },
    '/run/netns/a': { dev: nsfs, ino: 10 },
    '/run/netns/b': { dev: nsfs, ino: 11 },
    '/run/netns/file': { dev: 23, ino: 10 },
  })[path]

const of = (containerID: string, object: string, more: object = {}) => ({
  containerID,
  ifName: 'eth0',
  object,
  ...more,
})

const verdict = (...found: ReturnType<typeof of>[]) =>
  judge(groupByAttachment(found), [], netnsAt).map(({ valid, why }) => [valid, why])

t.test('objects of one interface of one container belong together', async t => {
  const groups = groupByAttachment([
    of('c1', 'cached result', { netns: '/run/netns/a' }),
    of('c2', 'lease 10.0.0.3'),
    of('c1', 'lease 10.0.0.2', { recorded: { path: '/run/netns/a', dev: nsfs, ino: 10 } }),
    of('c1', 'lease 10.0.0.2'),
  ])
  t.match(groups, [
    { containerID: 'c1', objects: ['cached result', 'lease 10.0.0.2'], netns: '/run/netns/a' },
    { containerID: 'c2', objects: ['lease 10.0.0.3'], netns: undefined },
  ])
})

t.test('an attachment is valid as long as its namespace is there', async t => {
  const cases: [string, boolean, string][] = [
    ['/run/netns/a', true, '/run/netns/a is there'],
    ['/run/netns/gone', false, '/run/netns/gone is gone'],
    ['/run/netns/file', false, '/run/netns/file is no network namespace any more'],
  ]
  for (const [netns, valid, why] of cases) t.same(verdict(of('c1', 'x', { netns })), [[valid, why]], netns)
})

t.test('another namespace under the same path is not the one that was', async t => {
  const recorded = { path: '/run/netns/a', dev: nsfs, ino: 99 }
  t.same(verdict(of('c1', 'x', { netns: '/run/netns/a', recorded })), [
    [false, '/run/netns/a is another namespace now: 10, and was 99'],
  ])
})

t.test('a cached path counts for more than an earlier record', async t => {
  const recorded = { path: '/run/netns/old', dev: nsfs, ino: 99 }
  t.same(verdict(of('c1', 'x', { netns: '/run/netns/a', recorded })), [[true, '/run/netns/a is there']])
})

t.test('without a path an interface on the host is what tells of life', async t => {
  t.same(verdict(of('c1', 'lease')), [[false, 'nothing tells of its network namespace']])
  t.same(verdict(of('c1', 'veth', { isConnection: true })), [[true, 'its interface leads to a namespace']])
})

t.test('an attachment that is named is valid whatever it looks like', async t => {
  const known = groupByAttachment([of('c1', 'x', { netns: '/run/netns/gone' })])
  t.match(judge(known, [{ containerID: 'c1', ifName: 'eth0' }], netnsAt), [
    { valid: true, why: 'named by --attachment' },
  ])
  t.match(judge(known, [{ containerID: 'c1', ifName: 'eth1' }], netnsAt), [{ valid: false }])
})

t.test('what names a container alone goes with its attachments, the valid one first', async t => {
  const found = [
    of('c1', 'x', { netns: '/run/netns/gone' }),
    of('c1', 'y', { ifName: 'net1', netns: '/run/netns/b' }),
    of('c1', 'iptables rules', { ifName: undefined }),
    of('c2', 'iptables rules', { ifName: undefined }),
  ]
  t.match(judge(groupByAttachment(found), [], netnsAt), [
    { containerID: 'c1', ifName: 'eth0', valid: false, objects: ['x'] },
    { containerID: 'c1', ifName: 'net1', valid: true, objects: ['y', 'iptables rules'] },
    { containerID: 'c2', ifName: undefined, valid: false, objects: ['iptables rules'] },
  ])
})
