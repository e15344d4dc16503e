/** A program of the host that listens on a host port: the operator hears of it, or ADD refuses the port. */
import t from 'tap'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { type Endpoint, serve } from '../../fixtures/traffic'
import { PortHost } from '../../plugins/portmap/fixtures/port-host'

const listening: Endpoint[] = [
  { protocol: 'tcp', host: '0.0.0.0', port: 8080 },
  { protocol: 'tcp', host: '::', port: 8081 },
  { protocol: 'udp', host: '192.0.2.1', port: 53 },
]

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] a port on which a program of the host listens`, async t => {
    const host = await PortHost.create(t, { flavour })
    const pod = host.paperPod('c1')
    const conf = (mapping: string, more: Json = {}) => pod.conf([mapping], { backend: 'nftables', ...more })
    await host.host.run('ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo')
    await serve(t, host.host, undefined, listening)
    // What a container leaves for good: the shared chains.
    await pod.must('ADD', conf('1:1/tcp'))
    await pod.must('DEL', conf('1:1/tcp'))
    const before = await host.state()

    await t.test('is given, and a warning on stderr says who listens', async t => {
      for (const [mapping, port, where] of [
        ['8080:80/tcp', '8080/tcp', '0\\.0\\.0\\.0:8080'],
        ['8081:80/tcp', '8081/tcp', '\\[::\\]:8081'],
        ['192.0.2.1@53:53/udp', '53/udp of 192\\.0\\.2\\.1', '192\\.0\\.2\\.1:53'],
      ]) {
        const { stderr } = await pod.must('ADD', conf(mapping ?? ''))
        t.match(
          stderr,
          new RegExp(
            `portmap: host port ${port} is in use on this host: \\S+ \\(pid \\d+\\) listens on ${where}; `,
          ),
        )
        t.match(stderr, 'clients do not reach it while container c1 has the port')
        await pod.must('DEL', conf(mapping ?? ''))
      }
    })

    await t.test('is refused with "hostListeners": "refuse", and nothing changes', async t => {
      const { code, json } = await pod.call('ADD', conf('8080:80/tcp', { hostListeners: 'refuse' }))
      t.equal(code, 1)
      t.match(json, { code: 7, msg: 'host port 8080/tcp is in use on this host' })
      t.match(json.details, /^\S+ \(pid \d+\) listens on 0\.0\.0\.0:8080; stop it, choose another host port/)
      t.equal(await host.state(), before)
    })

    await t.test('is given without a warning with "ignore", or without a listener', async t => {
      for (const [mapping, hostListeners] of [
        ['8080:80/tcp', 'ignore'],
        ['8080:80/udp', 'refuse'],
        ['8082:80/tcp', 'refuse'],
        ['192.0.2.2@53:53/udp', 'refuse'],
      ]) {
        const { stderr } = await pod.must('ADD', conf(mapping ?? '', { hostListeners }))
        t.equal(stderr, '', `${mapping} ${hostListeners}`)
        await pod.must('DEL', conf(mapping ?? ''))
      }
      t.equal(await host.state(), before)
    })

    t.match((await pod.call('ADD', conf('1:1/tcp', { hostListeners: 'kill' }))).json, {
      code: 7,
      msg: /"hostListeners": expected/i,
    })
  })
}
