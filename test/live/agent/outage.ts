/** `kubenet-agent` while the API server misbehaves in the ways it does; the server is a simulation. */
import t, { type Test } from 'tap'
import { KubernetesApi } from '../../fixtures/cluster/api-server'
import { eventually } from '../../fixtures/cluster/eventually'
import { LoneAgent } from '../../fixtures/cluster/lone-agent'
import { flavours } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const [a, b, c] = ['10.244.1.0/24', '10.244.2.0/24', '10.244.3.0/24']
const node = { name: 'n1', podCIDRs: [a] }

// The code between the two kinds of program is the same; agent.ts runs it in both.
for (const flavour of flavours.slice(0, 1)) {
  t.test(`[${flavour}] kubenet-agent`, async t => {
    const started = async (t: Test, args: string[] = []) => {
      const it = await LoneAgent.start(t, { flavour, node, args })
      await it.ranges(a)
      await it.watching()
      return it
    }

    await t.test('an outage leaves the file, and the watch goes on where it broke off', async t => {
      const it = await started(t)
      await it.api.down()
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      await it.agent.said('the connection to the API server ended')
      t.same(it.conflist().plugins[0].podCIDRs, [a])
      t.equal((await it.ask('/readyz')).status, 200, 'the node itself is as it should be')
      t.equal(await it.metric('watch_connected'), 0)
      await it.api.up()
      await it.ranges(b)
      t.equal(it.api.requests.filter(request => request.startsWith('list')).length, 1)
      t.equal(it.api.requests.at(-1), 'watch 1001')
    })

    await t.test('410 Gone makes it list again', async t => {
      const it = await started(t)
      await it.api.down()
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      it.api.nodes.compact()
      await it.api.up()
      await it.ranges(b)
      t.equal(await it.metric('watch_ends_total{reason="gone"}'), 1)
      await it.watching()
      it.api.nodes.put({ ...node, podCIDRs: [c] })
      await it.ranges(c)
    })

    await t.test(
      'after an outage a node is in step within seconds, also if its version is forgotten',
      async t => {
        const it = await started(t, ['--log-level', 'debug'])
        await it.api.down()
        // Long enough for waits that double without end to be long ones.
        const tries = () => it.agent.log.filter(({ retrySeconds }) => retrySeconds !== undefined)
        await eventually('tries in vain', () => tries().length >= 7)
        t.ok(
          tries().every(({ retrySeconds }) => retrySeconds <= 4),
          `waits of ${tries().map(({ retrySeconds }) => retrySeconds)} s`,
        )
        t.equal(
          tries().filter(({ level }) => level === 'warn').length,
          2,
          'the break and the outage are logged once',
        )
        it.api.nodes.put({ ...node, podCIDRs: [b] })
        it.api.nodes.compact()
        const before = it.agent.log.length
        await it.api.up()
        await it.ranges(b)
        const back = it.agent.log.slice(before)
        const answered = back.findIndex(({ msg }) => msg === 'the API server answers again')
        const { retrySeconds } = back.slice(answered).find(({ error }) => /410 Expired/.test(error))
        t.equal(retrySeconds, 0, 'it lists at once')
      },
    )

    await t.test(
      'a server that fell silent, as by a power cut, is noticed long before --idle-seconds',
      async t => {
        const host = await PrivateHost.create(t)
        const api = new KubernetesApi({ on: host, port: 6443 })
        const it = await LoneAgent.start(t, { flavour, node, host, api, args: ['--idle-seconds', '3600'] })
        await it.ranges(a)
        await it.watching()
        await host.sh(`nft 'table ip cut { chain in { type filter hook input priority 0; tcp dport 6443 drop
        tcp sport 6443 drop; }; }'`)
        await it.agent.said('the connection to the API server ended')
        const { error } = await it.agent.said('the connection to the API server ended', {
          error: 'no connection for 4 s',
        })
        t.ok(error)
        api.nodes.put({ ...node, podCIDRs: [b] })
        await host.sh('nft delete table ip cut')
        t.ok(await it.ranges(b))
      },
    )

    await t.test('a watch that says nothing counts as dead after a while', async t => {
      const it = await started(t, ['--idle-seconds', '1'])
      await eventually('a second watch', () => it.api.requests.filter(r => r === 'watch 1001').length >= 2)
      t.ok(Number(await it.metric('watch_ends_total{reason="idle"}')) >= 1)
    })

    await t.test(
      'an event that comes in pieces counts when it is whole, a torn one makes it list',
      async t => {
        const it = await started(t)
        const event = (version: string, range: string) =>
          `{"type":"MODIFIED","object":{"metadata":{"name":"n1","resourceVersion":"${version}"},"spec":{"podCIDRs":["${range}"]}}}`
        const whole = `${event('1002', b)}\n`
        it.api.send(whole.slice(0, 70))
        await new Promise(resolve => setTimeout(resolve, 50))
        it.api.send(whole.slice(70))
        await it.ranges(b)
        it.api.nodes.restore(1003)
        it.api.nodes.put({ ...node, podCIDRs: [c] })
        await it.ranges(c)
        it.api.send('{"type":"MODIFIED","object":{"meta\n')
        await eventually('a list', () => it.api.requests.filter(r => r.startsWith('list')).length === 2)
        t.equal(await it.metric('watch_ends_total{reason="unreadable"}'), 1)
      },
    )

    await t.test('events that come twice, or late, do not bring an old state back', async t => {
      const it = await started(t)
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      const [first] = it.api.nodes.since(1001)
      it.api.nodes.put({ ...node, podCIDRs: [c] })
      await it.ranges(c)
      it.api.send(`${first?.line}${first?.line}`)
      await eventually('both', async () => (await it.metric('objects_ignored_total{kind="stale"}')) === 2)
      t.same(it.conflist().plugins[0].podCIDRs, [c])
    })

    await t.test('a cluster put back to an earlier state is believed', async t => {
      const it = await started(t)
      it.api.nodes.restore(500)
      it.api.nodes.put({ ...node, podCIDRs: [b] })
      it.api.nodes.restore(600)
      it.api.bookmark()
      await it.ranges(b)
      t.ok(it.api.requests.includes('list 1001'), 'first one that is not older')
      t.ok(it.api.requests.includes('list'), 'and then whatever there is')
    })

    await t.test('a refusal is reported in the words of the server, and waited out', async t => {
      const api = new KubernetesApi()
      api.mood = 'forbidden'
      const it = await LoneAgent.start(t, { flavour, node, api })
      const { error } = await it.agent.said('the connection to the API server ended')
      t.match(error, /403 Forbidden nodes is forbidden: User "kubenet" cannot list resource "nodes"$/)
      api.mood = 'overloaded'
      await eventually('a second try', () => api.requests.length >= 2)
      api.mood = 'well'
      await it.ranges(a)
    })

    await t.test('SIGTERM ends it at once while the server does not answer', async t => {
      const api = new KubernetesApi()
      api.mood = 'mute'
      const it = await LoneAgent.start(t, { flavour, node, api })
      await eventually('a request', () => api.requests.length === 1)
      t.equal(await it.agent.stop(), 0)
    })
  })
}
