/** Who reaches what through kubenet: host ports, masquerading, and a pod that reaches itself. */
import t from 'tap'
import { anyFlavour, flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node, node as nodeAddress, outside } from '../../fixtures/kubenet'
import { ask, type Endpoint, type Seen, serve } from '../../fixtures/traffic'
import { linkVariants } from '../../plugins/portmap/fixtures/port-host'

const families = [4, 6] as const
const protocols = ['tcp', 'udp'] as const
const pod = { 4: '10.244.1.2', 6: 'fd00:244:1::2' } as const
const gateway = { 4: '10.244.1.1', 6: 'fd00:244:1::1' } as const
const second = { 4: '192.0.2.2', 6: '2001:db8::2' } as const

const openPort = 8080
const boundPort = 8081

const portMappings = protocols.flatMap(protocol => [
  { hostPort: openPort, containerPort: 80, protocol },
  ...families.map(family => ({
    hostPort: boundPort,
    containerPort: 80,
    protocol,
    hostIP: nodeAddress[family],
  })),
])

const clients = [
  { from: 'outside', netns: 'outside', seen: (family: 4 | 6) => outside[family] },
  // Of two IPv4 addresses in one network the first is what the host calls itself, also towards the second.
  {
    from: 'the node',
    netns: undefined,
    seen: (family: 4 | 6, at: string) => (family === 4 ? nodeAddress[4] : at),
  },
  { from: 'another pod', netns: 'other', seen: (family: 4 | 6) => gateway[family] },
  { from: 'the pod itself', netns: 'web', seen: (family: 4 | 6) => gateway[family] },
]

const refused = { error: 'ECONNREFUSED' }

/** The cells of one client: "address@port/protocol" and what is seen there. */
const cellsOf = ({ seen, netns }: (typeof clients)[number]): [Endpoint, Seen][] =>
  protocols.flatMap(protocol => [
    ...families.flatMap((family): [Endpoint, Seen][] => {
      const reached = (at: string): Seen => ({ from: seen(family, at), on: `${pod[family]}:80` })
      return [
        [{ protocol, host: nodeAddress[family], port: openPort }, reached(nodeAddress[family])],
        [{ protocol, host: second[family], port: openPort }, reached(second[family])],
        [{ protocol, host: nodeAddress[family], port: boundPort }, reached(nodeAddress[family])],
        // A refusal of a datagram is an ICMP message, and those are limited in rate.
        ...(protocol === 'tcp'
          ? [[{ protocol, host: second[family], port: boundPort }, refused] satisfies [Endpoint, Seen]]
          : []),
      ]
    }),
    ...(netns
      ? []
      : ['127.0.0.1', '127.0.0.2'].map((host): [Endpoint, Seen] => [
          { protocol, host, port: openPort },
          { from: gateway[4], on: `${pod[4]}:80` },
        ])),
  ])

const nameOf = ({ protocol, host, port }: Endpoint): string => `${host}@${port}/${protocol}`

const podServers = protocols.flatMap(protocol =>
  families.map(family => ({ protocol, host: pod[family], port: 80 })),
)

/** What host ports may be made with, and what shows that they are. */
const filters = [
  { name: 'auto', backend: 'auto', env: {}, shows: 'nft list table inet kubenet' },
  { name: 'iptables', backend: 'iptables', env: {}, shows: 'nft list table ip nat' },
  {
    name: 'iptables, the legacy one',
    backend: 'iptables',
    env: { PATH: '/run/legacy:/usr/sbin:/usr/bin:/sbin:/bin' },
    shows: 'iptables-legacy-save -t nat',
  },
] as const

for (const flavour of flavours) {
  for (const { name, backend, env, shows } of filters.slice(0, flavour === 'node' ? 1 : undefined)) {
    t.test(`[${flavour}] host ports with backend ${name}`, async t => {
      const node = await Node.create(t, flavour)
      await node.host.sh(linkVariants)
      const conf = kubenetConf({ backend })
      const result = await node.add('web', { ...conf, runtimeConfig: { portMappings } }, { env })
      await node.add('other', conf, { env })
      await serve(t, node.host, 'web', podServers)
      for (const client of clients) {
        const cells = cellsOf(client)
        const targets = Object.fromEntries(cells.map(([endpoint]) => [nameOf(endpoint), endpoint]))
        const seen = await ask(node.host, client.netns, targets)
        t.same(
          seen,
          Object.fromEntries(cells.map(([endpoint, expected]) => [nameOf(endpoint), expected])),
          client.from,
        )
      }
      t.match(await node.host.sh(shows), /8080/, 'that is where they are')
      const asAdded = { ...conf, prevResult: result, runtimeConfig: { portMappings } }
      const check = await node.call('CHECK', 'web', asAdded, { env })
      t.same([check.code, check.stdout], [0, ''])

      if (backend === 'auto')
        await t.test('a neighbour cannot reach 127.0.0.0/8 of the node', async t => {
          await serve(t, node.host, undefined, [{ protocol: 'tcp', host: '127.0.0.1', port: 7000 }])
          await node.host.sh(`
            ip -n other addr flush dev lo
            ip -n other route add 127.0.0.1 via 10.244.1.1 dev eth0
            ip netns exec other sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1
          `)
          const seen = await ask(node.host, 'other', {
            port: { protocol: 'tcp', host: '127.0.0.1', port: 7000, timeoutMs: 1000 },
            hostPort: { protocol: 'tcp', host: '127.0.0.1', port: openPort, timeoutMs: 1000 },
          })
          t.same(seen, { port: { error: 'timeout' }, hostPort: { error: 'timeout' } })
        })

      await node.del('web', asAdded, { env })
      const closed = await ask(node.host, 'outside', {
        tcp: { protocol: 'tcp', host: nodeAddress[4], port: openPort },
        tcp6: { protocol: 'tcp', host: nodeAddress[6], port: openPort },
      })
      t.same(closed, { tcp: refused, tcp6: refused }, 'closed after DEL')
      t.notMatch(await node.host.sh(shows), /8080/)
    })
  }
}

// What the kernel does with traffic does not depend on which flavour made the rules: that both make the same, the above shows.
for (const flavour of anyFlavour) {
  for (const backend of ['auto', 'iptables']) {
    t.test(`[${flavour}] masquerading with backend ${backend}`, async t => {
      const node = await Node.create(t, flavour)
      await node.host.sh(`
        ip -n outside addr add 10.99.0.9/32 dev eth0; ip -n outside addr add fd99::9/128 dev eth0 nodad
        ip -n outside route replace 10.244.0.0/16 via 192.0.2.1; ip route add 10.99.0.9/32 via 192.0.2.9
        ip route add fd99::9/128 via 2001:db8::9
      `)
      const servers = [outside[4], '10.99.0.9', outside[6], 'fd99::9']
      await serve(
        t,
        node.host,
        'outside',
        servers.map(host => ({ protocol: 'tcp', host, port: 80 })),
      )
      const sources = async (name: string) => {
        const targets = Object.fromEntries(
          servers.map(host => [host, { protocol: 'tcp' as const, host, port: 80 }]),
        )
        const seen = await ask(node.host, name, targets)
        return servers.map(host => seen[host]?.from ?? seen[host]?.error)
      }
      const masqueraded = [nodeAddress[4], '10.244.1.2', second[6], 'fd00:244:1::2']
      const steps: [string, Json, string[]][] = [
        ['happens outside 10.0.0.0/8 and fc00::/7', {}, masqueraded],
        [
          'happens outside nonMasqueradeCIDRs and the pod ranges only',
          { nonMasqueradeCIDRs: ['192.0.2.0/24', '2001:db8::/64'] },
          ['10.244.1.2', nodeAddress[4], 'fd00:244:1::2', second[6]],
        ],
        [
          'is off for the family of which no network is given',
          { nonMasqueradeCIDR: '10.0.0.0/8' },
          [nodeAddress[4], '10.244.1.2', 'fd00:244:1::2', 'fd00:244:1::2'],
        ],
        [
          'is off with 0.0.0.0/0 and ::/0',
          { nonMasqueradeCIDRs: ['0.0.0.0/0', '::/0'] },
          ['10.244.1.2', '10.244.1.2', 'fd00:244:1::2', 'fd00:244:1::2'],
        ],
      ]
      for (const [title, more, expected] of steps) {
        await t.test(title, async t => {
          const conf = kubenetConf({ backend, ...more })
          const result = await node.add('web', conf, { containerID: 'web' })
          t.same(await sources('web'), expected)
          await node.del('web', { ...conf, prevResult: result })
          await node.host.sh('ip netns del web; rm -f /var/lib/cni/networks/pods/last_reserved_ip.*')
        })
      }
    })
  }

  for (const hairpinMode of ['promiscuous-bridge', 'hairpin-veth']) {
    t.test(`[${flavour}] a pod reaches itself by a service, hairpinMode ${hairpinMode}`, async t => {
      const node = await Node.create(t, flavour)
      const conf = kubenetConf({ hairpinMode })
      await node.add('web', conf)
      await node.add('other', conf)
      // As kube-proxy does: the service's address leads to the pod, who calls himself is masqueraded.
      await node.host.exec(['nft', '-f', '-'], {
        stdin: `
          table inet service {
            chain pre { type nat hook prerouting priority dstnat - 1
              ip daddr 10.96.0.1 udp dport 53 dnat ip to ${pod[4]}:53
              ip6 daddr fd96::1 udp dport 53 dnat ip6 to [${pod[6]}]:53
            }
            chain post { type nat hook postrouting priority srcnat - 1
              ip saddr ${pod[4]} ip daddr ${pod[4]} masquerade
              ip6 saddr ${pod[6]} ip6 daddr ${pod[6]} masquerade
            }
          }`,
      })
      for (const [family, service] of [
        [4, '10.96.0.1'],
        [6, 'fd96::1'],
      ] as const) {
        for (const client of ['web', 'other']) {
          const received = await node.inPod(
            'web',
            `
            perl -MIO::Select -MSocket=:all -e '
              socket(my $s, ${family === 4 ? 'AF_INET' : 'AF_INET6'}, SOCK_DGRAM, 0) or die $!;
              bind($s, ${family === 4 ? 'pack_sockaddr_in(53, INADDR_ANY)' : 'pack_sockaddr_in6(53, IN6ADDR_ANY)'}) or die $!;
              system(q{nsenter --net=/run/netns/${client} perl -MSocket=:all -e "
                socket(my \\$c, ${family === 4 ? 'AF_INET' : 'AF_INET6'}, SOCK_DGRAM, 0);
                send(\\$c, q(once), 0, ${family === 4 ? 'pack_sockaddr_in(53, inet_aton(q(10.96.0.1)))' : 'pack_sockaddr_in6(53, inet_pton(AF_INET6, q(fd96::1)))'})"});
              my $n = 0; my $wait = IO::Select->new($s);
              while ($wait->can_read($n ? 0.3 : 3)) { recv($s, my $data, 64, 0); $n++ }
              print $n'
            `,
          )
          t.equal(received, '1', `a datagram from ${client} to ${service} arrives once`)
        }
      }
      const ports = await node.host.json<Json[]>('bridge', '-d', 'link', 'show')
      t.same(
        ports.filter(({ master }) => master === 'cbr0').map(({ hairpin }) => hairpin),
        [true, true],
      )
      const [bridge] = await node.host.json<Json[]>('ip', '-d', 'link', 'show', 'cbr0')
      t.equal(bridge.promiscuity, hairpinMode === 'promiscuous-bridge' ? 1 : 0)
    })
  }

  t.test(`[${flavour}] hairpinMode none leaves port and bridge alone`, async t => {
    const node = await Node.create(t, flavour)
    await node.add('web', kubenetConf({ hairpinMode: 'none' }))
    const [port] = (await node.host.json<Json[]>('bridge', '-d', 'link', 'show')).filter(
      ({ master }) => master === 'cbr0',
    )
    t.equal(port?.hairpin, false)
    const [bridge] = await node.host.json<Json[]>('ip', '-d', 'link', 'show', 'cbr0')
    t.equal(bridge.promiscuity, 0)
    t.notMatch(await node.host.run('nft', 'list', 'tables'), /bridge kubenet/)
  })
}
