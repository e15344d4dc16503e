import t from 'tap'
import { judgeLife, type Subject } from '../../../src/life/judge'
import { fakeHere } from '../../fixtures/fake-host-view'

const netns = { path: '/run/netns/a', dev: 4, ino: 10 }
const subject = (more: Partial<Subject> = {}): Subject => ({
  network: 'net',
  containerID: 'c1',
  ifName: 'eth0',
  netns,
  since: 1000,
  made: { host: 'node-1', bootID: fakeHere().bootID },
  pidNamespace: 4,
  ...more,
})

t.test('alive is whom any evidence shows alive', async t => {
  const here = fakeHere()
  t.same(judgeLife(subject(), here), { state: 'dead', why: '/run/netns/a is gone' })
  here.veths.push({ network: 'net', containerID: 'c1', ifName: 'eth0' })
  t.same(judgeLife(subject(), here), { state: 'alive', why: 'veth1 leads to its namespace' })
  t.equal(judgeLife(subject({ ifName: 'eth1' }), here).state, 'dead', 'the veth of another interface')
  here.living.add(10)
  t.match(judgeLife(subject({ ifName: 'eth1' }), here), {
    state: 'alive',
    why: '/run/netns/a is gone, its namespace lives on: process 7 is in it',
  })
  here.netns.set('/run/netns/a', netns)
  t.same(judgeLife(subject(), here), { state: 'alive', why: '/run/netns/a is there' })
})

t.test('a process that cannot see returns unknown', async t => {
  const here = fakeHere()
  here.blind = 'process 9 cannot be read from here'
  t.equal(judgeLife(subject(), here).state, 'dead', 'made in this PID namespace')
  t.same(judgeLife(subject({ pidNamespace: undefined }), here), {
    state: 'unknown',
    why: '/run/netns/a is gone; process 9 cannot be read from here',
  })
  here.netns.set('/run/netns/a', 'hidden')
  t.same(judgeLife(subject(), here), { state: 'unknown', why: '/run/netns/a cannot be read' })
  t.match(judgeLife(subject({ netns: undefined }), fakeHere()), {
    state: 'unknown',
    why: 'its network namespace is unknown',
  })
  t.match(judgeLife(subject({ made: { host: 'node-2', bootID: '' } }), fakeHere()), {
    state: 'unknown',
    why: 'it was made on host "node-2"',
  })
})

t.test('another boot ends everything, a boot_id that is not the kernel’s nothing', async t => {
  const before = { host: 'node-1', bootID: 'before' }
  const here = fakeHere()
  here.netns.set('/run/netns/a', netns)
  here.booted = 2000
  t.same(judgeLife(subject({ made: before }), here), { state: 'dead', why: 'it was made before this boot' })
  t.equal(judgeLife(subject({ made: before, since: 3000 }), here).state, 'dead', 'whatever the clock showed')
  const elsewhere = subject({ made: before, pidNamespace: 5 })
  t.equal(judgeLife(elsewhere, here).state, 'dead', 'in another PID namespace, before this boot')
  t.equal(
    judgeLife({ ...elsewhere, since: 3000 }, here).state,
    'alive',
    'after this boot: it had a boot_id of its own',
  )
  here.hasOwnBootID = true
  t.equal(judgeLife(subject({ made: before }), here).state, 'alive')
})

t.test('a number the kernel has given away again proves nothing', async t => {
  const here = fakeHere()
  here.living.add(10)
  const claimants = (since: number | undefined) => () => [
    { containerID: 'c2', netns: { dev: 4, ino: 10 }, since },
  ]
  t.equal(judgeLife(subject(), here, { claimants: claimants(2000) }).state, 'dead', 'to a later container')
  t.equal(
    judgeLife(subject(), here, { claimants: claimants(500) }).state,
    'alive',
    'shared with an earlier one',
  )
  t.equal(judgeLife(subject(), here, { claimants: claimants(undefined) }).state, 'alive', 'of unknown age')
})

t.test('young containers are left alone on request', async t => {
  const here = fakeHere()
  const age = (ms: number) => judgeLife(subject({ since: here.time - ms }), here, { graceMs: 60_000 }).state
  t.same([age(0), age(59_000), age(61_000)], ['unknown', 'unknown', 'dead'])
  t.equal(age(-1000), 'dead', 'made in the future: the clock was set back')
})
