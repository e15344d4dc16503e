/** A client that keeps sending from one UDP port reaches the present owner of the host port; no other flow changes. */
import t from 'tap'
import { anyFlavour } from '../../fixtures/cni'
import { ask, type Endpoint, serve } from '../../fixtures/traffic'
import { PortHost, type PortPod } from '../../plugins/portmap/fixtures/port-host'

const families = [4, 6] as const
const host4 = { 4: '192.0.2.1', 6: '2001:db8::1' } as const
const outside = { 4: '192.0.2.9', 6: '2001:db8::9' } as const

const hostPort = 5353

for (const flavour of anyFlavour) {
  for (const backend of ['iptables', 'nftables']) {
    t.test(`[${flavour}, ${backend}] UDP flows`, async t => {
      const host = await PortHost.create(t, { flavour })
      await host.outside()
      // On a slow machine the kernel would forget the flows by itself meanwhile.
      await host.host.sh(
        'sysctl -qw net.netfilter.nf_conntrack_udp_timeout=900 net.netfilter.nf_conntrack_udp_timeout_stream=900',
      )
      const [first, second] = [await host.pod('first'), await host.pod('second')]
      const addressOf = (pod: PortPod, family: 4 | 6) => pod.addresses[family === 4 ? 0 : 1]?.split('/')[0]
      const open = (pod: PortPod) => pod.conf([`${hostPort}:53/udp`], { backend })
      const startServer = (pod: PortPod) =>
        serve(
          t,
          host.host,
          pod.containerID,
          families.map(
            (family): Endpoint => ({ protocol: 'udp', host: addressOf(pod, family) ?? '', port: 53 }),
          ),
        )
      const stopFirst = await startServer(first)
      await startServer(second)
      await serve(t, host.host, 'outside', [{ protocol: 'udp', host: outside[4], port: hostPort }])

      /** Who answers the client outside, which sends from the same port each time. */
      const answering = async () => {
        const targets = Object.fromEntries(
          families.map(family => [
            family,
            { protocol: 'udp', host: host4[family], port: hostPort, localPort: 40_000 + family } as const,
          ]),
        )
        const seen = await ask(host.host, 'outside', targets)
        return families.map(family => seen[family]?.on ?? seen[family]?.error)
      }
      const onPod = (pod: PortPod) => families.map(family => `${addressOf(pod, family)}:53`)

      const dns: Endpoint = { protocol: 'udp', host: outside[4], port: hostPort, localPort: 50_000 }
      // The kernel tracks nothing before there is a rule that asks it to; and outside must find the way back.
      await first.must('ADD', open(first))
      await first.must('DEL', open(first))
      await host.host.run('ip', '-n', 'outside', 'route', 'add', '10.22.0.0/24', 'via', host4[4])
      const otherFlow = () =>
        host.host.sh(`conntrack -L -p udp -o id -d ${outside[4]} 2> /dev/null | grep -o ' id=.*'`)
      t.match(await ask(host.host, 'second', { dns }), { dns: { on: `${outside[4]}:${hostPort}` } })
      const untouched = await otherFlow()
      t.match(untouched, /id=\d+/, 'a pod’s own flow to the same port of another machine')

      await t.test('from the host to a container, to another, and back to the host', async t => {
        const stop = await serve(
          t,
          host.host,
          undefined,
          families.map(family => ({ protocol: 'udp', host: host4[family], port: hostPort })),
        )
        const onHost = families.map(family => `${host4[family]}:${hostPort}`)
        t.same(await answering(), onHost)
        await first.must('ADD', open(first))
        t.same(await answering(), onPod(first), 'after ADD')
        await first.must('DEL', open(first))
        t.same(await answering(), onHost, 'after DEL')
        await second.must('ADD', open(second))
        t.same(await answering(), onPod(second))
        await second.must('DEL', { ...open(second), runtimeConfig: {}, prevResult: undefined }, { netns: '' })
        t.same(await answering(), onHost, 'after DEL without a result')
        await stop()
      })

      await t.test('from a container that is gone without DEL to the next', async t => {
        await first.must('ADD', open(first))
        t.same(await answering(), onPod(first))
        // A container lives as long as a process is in its namespace, and until the kernel has removed its interfaces.
        await stopFirst()
        await host.host.sh(`
          links=$(ip -o link | wc -l)
          ip netns del first
          for i in $(seq 100); do test "$(ip -o link | wc -l)" -lt "$links" && exit; sleep 0.05; done`)
        await second.must('ADD', open(second))
        t.same(await answering(), onPod(second))
        await second.must('DEL', open(second))
      })

      t.equal(await otherFlow(), untouched, 'the other flow is still there, the same one')
    })
  }
}
