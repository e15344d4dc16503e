/** What a host port must not do: open the host's 127.0.0.0/8, take an address's other traffic, or follow a stranger's conditions. */
import t from 'tap'
import { anyFlavour } from '../../fixtures/cni'
import { ask, type Endpoint, serve } from '../../fixtures/traffic'
import { PortHost } from '../../plugins/portmap/fixtures/port-host'

const tcp = (host: string, port: number): Endpoint => ({ protocol: 'tcp', host, port })

/** Lets a container send to 127.0.0.1 of its gateway, as one with CAP_NET_RAW can. */
const becomeMartian = (netns: string) => `
  ip netns exec ${netns} sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.all.rp_filter=0 \
    net.ipv4.conf.eth0.rp_filter=0
  ip -n ${netns} addr del 127.0.0.1/8 dev lo
  ip -n ${netns} route add 127.0.0.0/8 via 10.22.0.1
`

for (const flavour of anyFlavour) {
  for (const backend of ['iptables', 'nftables']) {
    t.test(`[${flavour}, ${backend}]`, async t => {
      const host = await PortHost.create(t, { flavour })
      await host.outside()
      const [web, other] = [await host.pod('web'), await host.pod('other')]
      await host.pod('neighbour')
      const [onWeb, onOther] = ['10.22.0.2:80', '10.22.0.3:80']
      await serve(t, host.host, 'web', [tcp('10.22.0.2', 80)])
      await serve(t, host.host, 'other', [tcp('10.22.0.3', 80)])
      const reach = async (netns: string | undefined, host4: string, port: number) => {
        const { there } = await ask(host.host, netns, { there: tcp(host4, port) })
        return there?.on ?? there?.error
      }

      await t.test('neighbours do not reach 127.0.0.0/8 by the way localhost’s ports take', async t => {
        await serve(t, host.host, undefined, [tcp('127.0.0.1', 9000)])
        await host.host.sh(becomeMartian('neighbour'))
        await host.host.sh('sysctl -qw net.ipv4.conf.br0.route_localnet=1')
        t.equal(await reach('neighbour', '127.0.0.1', 9000), '127.0.0.1:9000', 'they do without the plugin')
        const conf = web.conf(['8080:80/tcp', '127.0.0.1@8081:80/tcp'], { backend })
        await web.must('ADD', conf)
        const inVain = (port: number) => ({ ...tcp('127.0.0.1', port), timeoutMs: 1000 })
        t.same(
          await ask(host.host, 'neighbour', {
            'a service of the host': inVain(9000),
            'a port of every address': inVain(8080),
            'a port of 127.0.0.1 alone': inVain(8081),
          }),
          {
            'a service of the host': { error: 'timeout' },
            'a port of every address': { error: 'timeout' },
            'a port of 127.0.0.1 alone': { error: 'timeout' },
          },
        )
        t.equal(await reach(undefined, '127.0.0.1', 9000), '127.0.0.1:9000', 'the host itself does')
        t.equal(await reach(undefined, '127.0.0.1', 8080), onWeb)
        t.equal(await reach(undefined, '127.0.0.1', 8081), onWeb)
        t.equal(await reach(undefined, '127.9.9.9', 8080), onWeb)
        t.equal(await reach(undefined, '192.0.2.1', 8081), 'ECONNREFUSED', 'it is open nowhere else')
        await web.must('DEL', conf)
        const { there } = await ask(host.host, 'neighbour', { there: inVain(9000) })
        t.same(there, { error: 'timeout' }, 'still not after DEL')
      })

      await t.test('an address of the host that conditions except keeps its port', async t => {
        await host.host.sh(`
          ip addr add 198.51.100.7/32 dev lo
          ip -n outside route add 198.51.100.7 via 192.0.2.1
        `)
        await serve(t, host.host, undefined, [tcp('198.51.100.7', 443)])
        const except = backend === 'iptables' ? ['!', '-d', '198.51.100.7'] : ['ip daddr != 198.51.100.7']
        const conf = web.conf(['443:80/tcp'], { backend, conditionsV4: except })
        await web.must('ADD', conf)
        t.equal(await reach('outside', '198.51.100.7', 443), '198.51.100.7:443')
        t.equal(await reach(undefined, '198.51.100.7', 443), '198.51.100.7:443')
        t.equal(await reach('outside', '192.0.2.1', 443), onWeb)
        await web.must('CHECK', conf)
        await web.must('DEL', conf)
        const everywhere = web.conf(['443:80/tcp'], { backend })
        await web.must('ADD', everywhere)
        t.equal(await reach('outside', '198.51.100.7', 443), onWeb, 'without them it is the container’s too')
        await web.must('DEL', everywhere)
        const bound = web.conf(['192.0.2.1@443:80/tcp'], { backend })
        await web.must('ADD', bound)
        t.equal(await reach('outside', '198.51.100.7', 443), '198.51.100.7:443', 'nor does hostIP take it')
        await web.must('DEL', bound)
      })

      await t.test(
        'what a pod sends through the node to such a port elsewhere is not led astray',
        async t => {
          await serve(t, host.host, 'outside', [tcp('192.0.2.9', 8443)])
          await host.host.sh('ip -n outside route add 10.22.0.0/24 via 192.0.2.1')
          await web.must('ADD', web.conf(['8443:80/tcp'], { backend }))
          t.equal(await reach('other', '192.0.2.9', 8443), '192.0.2.9:8443')
          await web.must('DEL', web.conf([], { backend }))
        },
      )

      await t.test('each network’s conditions hold for its own ports', async t => {
        const from = (net: string) => (backend === 'iptables' ? ['-s', net] : [`ip saddr ${net}`])
        const forOutside = web.conf(['8081:80/tcp'], { backend, conditionsV4: from('192.0.2.0/24') })
        const forPods = other.conf(['8082:80/tcp'], {
          backend,
          name: 'net2',
          conditionsV4: from('10.22.0.0/24'),
        })
        await web.must('ADD', forOutside)
        await other.must('ADD', forPods)
        const seen = await Promise.all([
          reach('outside', '192.0.2.1', 8081),
          reach('outside', '192.0.2.1', 8082),
          reach('web', '192.0.2.1', 8081),
          reach('web', '192.0.2.1', 8082),
        ])
        t.same(seen, [onWeb, 'ECONNREFUSED', 'ECONNREFUSED', onOther])
        await web.must('CHECK', forOutside)
        await other.must('CHECK', forPods)
        await web.must('DEL', forOutside)
        await other.must('CHECK', forPods)
        await other.must('DEL', forPods)
      })
    })
  }
}
