/** `kubenet-agent` on a host that gives it trouble: a folder that cannot be written, readers in between, a clock that is set. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { KubernetesApi } from '../../fixtures/cluster/api-server'
import { eventually } from '../../fixtures/cluster/eventually'
import { LoneAgent } from '../../fixtures/cluster/lone-agent'
import { flavours } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const node = { name: 'n1', podCIDRs: ['10.244.1.0/24'] }

/** Tells a program another time of day than the machine has; of the monotonic clock it leaves the truth. */
const faketime = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'

// The code between the two kinds of program is the same; agent.ts runs it in both.
for (const flavour of flavours.slice(0, 1)) {
  t.test(`[${flavour}] kubenet-agent`, async t => {
    const host = await PrivateHost.create(t)
    const clock = `${t.testdir({})}/clock`
    writeFileSync(clock, '+0')
    const api = new KubernetesApi({ on: host, port: 6443, bookmarkMs: 200 })
    await host.sh('mkdir /run/net.d; mount -t tmpfs tmpfs /run/net.d; mount -o remount,ro /run/net.d')
    const it = await LoneAgent.start(t, {
      flavour,
      node,
      host,
      api,
      args: ['--cni-conf-dir', '/run/net.d', '--resync-seconds', '1', '--idle-seconds', '20'],
      env: existsSync(faketime)
        ? {
            LD_PRELOAD: faketime,
            FAKETIME_TIMESTAMP_FILE: clock,
            FAKETIME_DONT_FAKE_MONOTONIC: '1',
            FAKETIME_NO_CACHE: '1',
          }
        : {},
    })
    const file = host.path('/run/net.d/10-kubenet.conflist')

    await t.test('an unwritable folder is reported, and written once it is writable', async t => {
      const { level, reason } = await it.agent.said('the network of this node', { state: 'failed' })
      t.equal(level, 'error')
      t.match(reason, /^EROFS: read-only file system, access '\/run\/net\.d'/)
      t.equal((await it.ask('/readyz')).status, 503)
      t.equal((await it.ask('/healthz')).status, 200, 'to be started again would not help')
      await host.sh('mount -o remount,rw /run/net.d')
      await it.agent.said('the network of this node', { state: 'ready' })
      t.equal((await it.ask('/readyz')).status, 200)
    })

    await t.test('a reader of the file sees the old one or the new one', async t => {
      const last = '10.244.60.0/24'
      const seen = new Set<string>()
      const written = eventually('the last range', async () => {
        const { podCIDRs } = JSON.parse(readFileSync(file, 'utf8')).plugins[0]
        seen.add(String(podCIDRs))
        return String(podCIDRs) === last
      })
      await it.watching()
      for (let i = 2; i <= 60; i++) {
        api.nodes.put({ ...node, podCIDRs: [`10.244.${i}.0/24`] })
        for (let look = 0; look < 50; look++)
          seen.add(String(JSON.parse(readFileSync(file, 'utf8')).plugins[0].podCIDRs))
        await new Promise(resolve => setImmediate(resolve))
      }
      await written
      t.ok(
        [...seen].every(range => /^10\.244\.\d+\.0\/24$/.test(range)),
        `${seen.size} of them seen`,
      )
      t.equal(await host.sh('ls -A /run/net.d'), '10-kubenet.conflist\n', 'and nothing else is left')
    })

    await t.test(
      'a clock that is set, back or forth, changes nothing',
      { skip: existsSync(faketime) ? false : 'needs Debian’s faketime' },
      async t => {
        let range = 100
        for (const jump of ['-400d', '+4000d']) {
          writeFileSync(clock, jump)
          const lines = it.agent.log.length
          api.nodes.put({ ...node, podCIDRs: [`10.244.${++range}.0/24`] })
          const { time } = await it.agent.said('network configuration written', {}, lines)
          const days = (Date.parse(time) - Date.now()) / 86_400_000
          t.ok(
            Math.abs(days - Number.parseInt(jump, 10)) < 1,
            `${jump}: the agent believes that it is ${time}`,
          )
          // A bookmark comes five times a second: of what the agent waits for, nothing is later than that.
          await eventually(
            'a word from the server',
            async () => Number(await it.metric('api_silent_seconds')) < 5,
          )
          await host.sh('rm /run/net.d/10-kubenet.conflist')
          await eventually('the file at the next look', () => existsSync(file))
        }
        t.same(api.requests, ['list 0', 'watch 1001'], 'all by the first watch')
        t.equal(it.agent.log.filter(({ msg }) => /connection/.test(msg)).length, 0)
      },
    )

    await t.test('/metrics is what Prometheus reads', async t => {
      const { text } = await it.ask('/metrics')
      const lines = text.split('\n').filter(Boolean)
      const sample = /^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+$/
      t.same(
        lines.filter(line => !/^# (HELP|TYPE) /.test(line) && !sample.test(line)),
        [],
      )
      const documented = readFileSync(`${__dirname}/../../../docs/cluster.md`, 'utf8')
      const families = lines.flatMap(line => /^# TYPE (\S+)/.exec(line)?.[1] ?? [])
      t.ok(families.length > 15)
      for (const family of families) t.match(documented, `\`${family.replace('kubenet_agent_', '')}`, family)
    })

    await t.test('SIGTERM ends it at the first word', async t => {
      t.equal(await it.agent.stop(), 0)
      t.equal(it.agent.log.at(-1).msg, 'stopped')
      t.equal(it.agent.stderr, '')
    })
  })
}
