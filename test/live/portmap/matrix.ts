/**
 * Who reaches a host port how: every kind of client, both families, every protocol, every backend, ports open on all
 * of the host's addresses and on one; and that after DEL the host is as before ADD. SCTP is left out where the kernel
 * has none. The container's rate is limited too, at more than anything here sends, for what that leaves behind.
 */
import t from 'tap'
import { binDir, call, flavours, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'
import {
  ask,
  askStream,
  type Endpoint,
  IPPROTO_SCTP,
  type Seen,
  serve,
  serveStream,
  streamProblem,
} from '../../fixtures/traffic'
import { linkVariants } from '../../plugins/portmap/fixtures/port-host'
import { portState } from '../../plugins/portmap/fixtures/port-state'

const network = {
  cniVersion: '1.0.0',
  name: 'net',
  type: 'bridge',
  isDefaultGateway: true,
  hairpinMode: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.22.0.0/24' }], [{ subnet: 'fd00:22::/64' }]] },
}

const families = [4, 6] as const
const pod = { 4: '10.22.0.2', 6: 'fd00:22::2' } as const
const gateway = { 4: '10.22.0.1', 6: 'fd00:22::1' } as const
const firstAddress = { 4: '192.0.2.1', 6: '2001:db8::1' } as const
const secondAddress = { 4: '192.0.2.2', 6: '2001:db8::2' } as const
const outside = { 4: '192.0.2.9', 6: '2001:db8::9' } as const

/** The variants of iptables, and nftables; the folder is put in front of PATH. */
const backends = [
  { name: 'iptables-nft', backend: 'iptables', variant: 'nft' },
  { name: 'iptables-legacy', backend: 'iptables', variant: 'legacy' },
  { name: 'nftables', backend: 'nftables', variant: 'nft' },
] as const

/** Open on every address of the host, and on its first address alone. */
const openPort = 8080
const boundPort = 8081

const mappings = (protocols: readonly string[]) =>
  protocols.flatMap(protocol => [
    { hostPort: openPort, containerPort: 80, protocol },
    ...families.map(family => ({
      hostPort: boundPort,
      containerPort: 80,
      protocol,
      hostIP: firstAddress[family],
    })),
  ])

/** Under what address the pod sees each client's connections to an address of the host. */
const clients = [
  { from: 'outside', netns: 'outside', seen: (family: 4 | 6) => outside[family] },
  // Of two IPv4 addresses in one network the first is what the host calls itself, also towards the second.
  {
    from: 'the host',
    netns: undefined,
    seen: (family: 4 | 6, at: string) => (family === 4 ? firstAddress[4] : at),
  },
  { from: 'another pod', netns: 'other', seen: (family: 4 | 6) => gateway[family] },
  { from: 'the pod itself', netns: 'web', seen: (family: 4 | 6) => gateway[family] },
]

type Cell = { at: string; port: number; expected: Seen }

const refused = { error: 'ECONNREFUSED' }

/** Some error, whichever. */
const unreachable = { error: 'any' }

const cellsOf = ({ seen }: (typeof clients)[number]): Cell[] =>
  families.flatMap(family => {
    const reached = (at: string): Seen => ({ from: seen(family, at), on: `${pod[family]}:80` })
    const [first, second] = [firstAddress[family], secondAddress[family]]
    return [
      { at: first, port: openPort, expected: reached(first) },
      { at: second, port: openPort, expected: reached(second) },
      { at: first, port: boundPort, expected: reached(first) },
      { at: second, port: boundPort, expected: refused },
    ]
  })

/** What only the host itself can ask for. */
const localCells: Cell[] = [
  { at: '127.0.0.1', port: openPort, expected: { from: gateway[4], on: `${pod[4]}:80` } },
  { at: '127.0.0.2', port: openPort, expected: { from: gateway[4], on: `${pod[4]}:80` } },
  { at: '127.0.0.1', port: boundPort, expected: refused },
  // The kernel has no route_localnet for IPv6: what goes to ::1 cannot leave the host.
  { at: '::1', port: openPort, expected: unreachable },
]

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
    ${linkVariants}
  `)
  return host
}

const protocols = ['tcp', 'udp'] as const

const askCells = async (host: PrivateHost, netns: string | undefined, cells: readonly Cell[]) => {
  const targets: Record<string, Endpoint> = {}
  for (const { at, port, expected } of cells) {
    for (const protocol of protocols) {
      const endpoint = { protocol, host: at, port }
      targets[`${at}@${port}/${protocol}`] =
        expected === unreachable ? { ...endpoint, timeoutMs: 1000 } : endpoint
    }
  }
  return ask(host, netns, targets)
}

const expectedOf = (cells: readonly Cell[]): Record<string, Seen> =>
  Object.fromEntries(
    cells.flatMap(({ at, port, expected }) =>
      protocols.map(protocol => [`${at}@${port}/${protocol}`, expected]),
    ),
  )

const Gbit = 1_000_000_000

const rates = { ingressRate: Gbit, ingressBurst: Gbit, egressRate: Gbit, egressBurst: Gbit }

for (const flavour of flavours) {
  t.test(`[${flavour}] portmap`, async t => {
    const host = await makeHost(t)
    const folder = binDir(flavour)
    const noSctp = await streamProblem(host, IPPROTO_SCTP)
    let result: Json
    for (const name of ['web', 'other']) {
      const netns = await host.netns(name)
      const added = await call(host, folder, 'bridge', network, { containerID: name, netns })
      t.equal(added.code, 0, added.stdout)
      result ??= added.json
    }
    await serve(
      t,
      host,
      'web',
      protocols.flatMap(protocol => families.map(family => ({ protocol, host: pod[family], port: 80 }))),
    )
    if (!noSctp)
      await serveStream(t, host, 'web', { protocol: IPPROTO_SCTP, port: 80, addresses: Object.values(pod) })

    // The rules come from the same code in both flavours.
    for (const { name, backend, variant } of backends.slice(flavour === 'node' ? -1 : 0)) {
      await t.test(name, async t => {
        const options = {
          containerID: 'web',
          netns: '/run/netns/web',
          env: { PATH: `/run/${variant}:/usr/sbin:/usr/bin:/sbin:/bin` },
        }
        const conf = {
          cniVersion: '1.0.0',
          name: 'net',
          prevResult: result,
          runtimeConfig: {
            portMappings: mappings(noSctp ? protocols : [...protocols, 'sctp']),
            bandwidth: rates,
          },
        }
        const portmap = (command: string) =>
          call(host, folder, 'portmap', { ...conf, type: 'portmap', backend }, { ...options, command })
        const bandwidth = (command: string) =>
          call(host, folder, 'bandwidth', { ...conf, type: 'bandwidth' }, { ...options, command })
        // What a first container leaves for good: the chains all share, and route_localnet.
        for (const command of ['ADD', 'DEL']) t.equal((await portmap(command)).code, 0, command)
        const before = await portState(host)
        const added = await portmap('ADD')
        t.equal(added.code, 0, added.stdout)
        t.same(added.json, result, 'the previous result is the result')
        t.equal((await bandwidth('ADD')).code, 0)

        for (const client of clients) {
          const cells = [...cellsOf(client), ...(client.netns ? [] : localCells)]
          const seen = await askCells(host, client.netns, cells)
          for (const [cell, expected] of Object.entries(expectedOf(cells))) {
            const title = `${cell} from ${client.from}`
            if (expected === unreachable) t.ok(seen[cell]?.error, title)
            else t.same(seen[cell], expected, title)
          }
        }
        await t.test('SCTP', noSctp ? { skip: `the kernel has no SCTP: ${noSctp}` } : {}, async t => {
          for (const client of clients) {
            const cells = [...cellsOf(client), ...(client.netns ? [] : localCells)].filter(
              ({ expected }) => expected !== unreachable,
            )
            const targets = cells.map(({ at, port }) => `${at}@${port}`)
            const seen = await askStream(host, client.netns, IPPROTO_SCTP, targets)
            for (const { at, port, expected } of cells)
              t.same(seen[`${at}@${port}`], expected, `${at}@${port}/sctp from ${client.from}`)
          }
        })
        const checked = await portmap('CHECK')
        t.equal(checked.code, 0, checked.stdout)
        t.not(await portState(host), before)
        t.equal((await bandwidth('DEL')).code, 0)
        for (const attempt of ['DEL', 'DEL again']) {
          const deleted = await portmap('DEL')
          t.same([deleted.code, deleted.stdout], [0, ''], attempt)
          t.equal(await portState(host), before, `${attempt}: the host is as before ADD`)
        }
        const cells = families.map(family => ({
          at: firstAddress[family],
          port: openPort,
          expected: refused,
        }))
        t.same(await askCells(host, 'outside', cells), expectedOf(cells), 'closed after DEL')
        t.equal((await portmap('CHECK')).code, 1, 'CHECK after DEL')
      })
    }
  })
}
