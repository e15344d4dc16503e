/**
 * Who reaches a host port how: every kind of client, both families, both protocols, every backend. SCTP is left out
 * where the kernel has none.
 */
import t from 'tap'
import { binDir, call, flavours } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'
import { ask, type Endpoint, type Seen, serve } from '../fixtures/traffic'

const network = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'bridge',
  isDefaultGateway: true,
  hairpinMode: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd00:22::/64' }]] },
}

const hostAddress = { 4: '192.0.2.1', 6: '2001:db8::1' } as const
const secondAddress = { 4: '192.0.2.2', 6: '2001:db8::2' } as const

/** The variants of iptables, and nftables; the folder is put in front of PATH. */
const backends = [
  { name: 'iptables-nft', backend: 'iptables', variant: 'nft' },
  { name: 'iptables-legacy', backend: 'iptables', variant: 'legacy' },
  { name: 'nftables', backend: 'nftables', variant: 'nft' },
] as const

const conf = (backend: string, prevResult: unknown, hostIP?: string) => ({
  cniVersion: '1.0.0',
  name: 'net',
  type: 'portmap',
  backend,
  prevResult,
  runtimeConfig: {
    portMappings: (['tcp', 'udp'] as const).flatMap(protocol =>
      hostIP
        ? [
            { hostPort: 8080, containerPort: 80, protocol, hostIP: hostAddress[4] },
            { hostPort: 8080, containerPort: 80, protocol, hostIP: hostAddress[6] },
          ]
        : [{ hostPort: 8080, containerPort: 80, protocol }],
    ),
  },
})

const targets = (host: string): Record<string, Endpoint> => ({
  tcp: { protocol: 'tcp', host, port: 8080 },
  udp: { protocol: 'udp', host, port: 8080 },
})

const makeHost = async (t: Parameters<typeof PrivateHost.create>[0]) => {
  const host = await PrivateHost.create(t)
  await host.sh(`
    ip netns add outside
    ip link add up0 type veth peer name eth0 netns outside
    for address in 192.0.2.1/24 192.0.2.2/24; do ip addr add $address dev up0; done
    for address in 2001:db8::1/64 2001:db8::2/64; do ip addr add $address dev up0 nodad; done
    ip link set up0 up
    ip -n outside addr add 192.0.2.9/24 dev eth0
    ip -n outside addr add 2001:db8::9/64 dev eth0 nodad
    ip -n outside link set eth0 up
    for variant in nft legacy; do
      mkdir -p /run/$variant
      for program in iptables ip6tables; do
        for verb in '' -restore -save; do ln -s $(command -v $program-$variant$verb) /run/$variant/$program$verb; done
      done
    done
  `)
  return host
}

for (const flavour of flavours) {
  t.test(`[${flavour}] portmap`, async t => {
    const host = await makeHost(t)
    const folder = binDir(flavour)
    const results: Record<string, unknown> = {}
    for (const pod of ['web', 'other']) {
      const netns = await host.netns(pod)
      const added = await call(host, folder, 'bridge', network, { containerID: pod, netns })
      t.equal(added.code, 0, added.stdout)
      results[pod] = added.json
    }
    const pod = { 4: '10.22.0.2', 6: 'fd00:22::2' } as const
    const gateway = { 4: '10.22.0.1', 6: 'fd00:22::1' } as const
    const endpoints = (['tcp', 'udp'] as const).flatMap(protocol =>
      [pod[4], pod[6]].map(address => ({ protocol, host: address, port: 80 })),
    )
    await serve(t, host, 'web', endpoints)

    for (const { name, backend, variant } of backends) {
      for (const hostIP of [undefined, 'set']) {
        await t.test(`${name}, ${hostIP ? 'one host address' : 'all host addresses'}`, async t => {
          const options = {
            containerID: 'web',
            netns: '/run/netns/web',
            env: { PATH: `/run/${variant}:/usr/sbin:/usr/bin:/sbin:/bin` },
          }
          const settings = conf(backend, results.web, hostIP)
          const added = await call(host, folder, 'portmap', settings, options)
          t.equal(added.code, 0, added.stdout)
          t.same(added.json, results.web, 'the previous result is the result')

          const reaches = (seen: Record<string, Seen>, on: string, from: string, title: string) => {
            t.same(seen, { tcp: { from, on: `${on}:80` }, udp: { from, on: `${on}:80` } }, title)
          }
          for (const family of [4, 6] as const) {
            const at = hostAddress[family]
            const outside = { 4: '192.0.2.9', 6: '2001:db8::9' }[family]
            const on = pod[family]
            reaches(await ask(host, 'outside', targets(at)), on, outside, `v${family} from outside, source kept`)
            reaches(await ask(host, undefined, targets(at)), on, at, `v${family} from the host`)
            reaches(await ask(host, 'other', targets(at)), on, gateway[family], `v${family} from another pod`)
            reaches(await ask(host, 'web', targets(at)), on, gateway[family], `v${family} from the pod itself`)
            const second = await ask(host, 'outside', targets(secondAddress[family]))
            if (hostIP) {
              t.same(second, { tcp: { error: 'ECONNREFUSED' }, udp: { error: 'ECONNREFUSED' } }, 'other address closed')
            } else reaches(second, on, outside, `v${family} on the host's second address`)
          }
          const local = await ask(host, undefined, targets('127.0.0.1'))
          if (hostIP) t.match(local, { tcp: { error: 'ECONNREFUSED' } }, '127.0.0.1 is another address')
          else reaches(local, pod[4], gateway[4], '127.0.0.1')
          const local6 = await ask(host, undefined, { tcp: { protocol: 'tcp', host: '::1', port: 8080 } })
          // The kernel has no route_localnet for IPv6: what goes to ::1 can not leave the host.
          t.ok(local6.tcp?.error, '::1 is not forwarded')

          const checked = await call(host, folder, 'portmap', settings, { ...options, command: 'CHECK' })
          t.equal(checked.code, 0, checked.stdout)
          for (const attempt of ['DEL', 'DEL again']) {
            const deleted = await call(host, folder, 'portmap', settings, { ...options, command: 'DEL' })
            t.same([deleted.code, deleted.stdout], [0, ''], attempt)
          }
          const gone = await ask(host, 'outside', targets(hostAddress[4]))
          t.same(gone, { tcp: { error: 'ECONNREFUSED' }, udp: { error: 'ECONNREFUSED' } }, 'closed after DEL')
          const failed = await call(host, folder, 'portmap', settings, { ...options, command: 'CHECK' })
          t.equal(failed.code, 1, 'CHECK after DEL')
        })
      }
    }
  })
}
