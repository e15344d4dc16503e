import t from 'tap'
import { addressesOf, bridgeConf, hostWithPods, linksOf, type Pod } from '../../fixtures/bridge'
import { anyFlavour, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

const ipam = (...subnets: string[]) => ({
  type: 'host-local',
  ranges: subnets.map(subnet => [{ subnet }]),
})

const bridgeAddresses = async (host: PrivateHost, name = 'br0') =>
  addressesOf((await linksOf(host)).get(name))

const defaultRoutes = async (host: PrivateHost, pod: Pod): Promise<Json[]> => [
  ...(await host.json<Json[]>('ip', '-n', pod.name, '-4', 'route', 'show', 'default')),
  ...(await host.json<Json[]>('ip', '-n', pod.name, '-6', 'route', 'show', 'default')),
]

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] only with isGateway the bridge gets addresses and the host forwards`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const sysctls = async () =>
      (await host.run('sysctl', '-n', 'net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'))
        .trim()
        .split('\n')
    await host.sh('sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0')

    await (await pod('c1')).add(bridgeConf('dual'))
    t.same(await bridgeAddresses(host), [])
    t.same(await sysctls(), ['0', '0'])

    await (await pod('c2')).add(bridgeConf('v4', { isGateway: true, bridge: 'br4', name: 'net4' }))
    t.same(await sysctls(), ['1', '0'], 'IPv4 alone')

    const c3 = await pod('c3')
    await c3.add(bridgeConf('dual', { isGateway: true }))
    t.same(await bridgeAddresses(host), ['10.1.2.1/24', 'fd00:2::1/64'])
    t.same(await sysctls(), ['1', '1'])
    t.same(await defaultRoutes(host, c3), [], 'a gateway is no default route')
    t.equal((await host.run('sysctl', '-n', 'net.ipv6.conf.br0.accept_ra')).trim(), '0')
  })

  t.test(
    `[${flavour}] isDefaultGateway makes one default route a family, over its first gateway`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const a = await pod('c1')
      const result = await a.add(
        bridgeConf('v4', { isDefaultGateway: true, ipam: ipam('10.1.2.0/24', 'fd00:2::/64', 'fd00:3::/64') }),
      )
      t.same(result.routes, [
        { dst: '0.0.0.0/0', gw: '10.1.2.1' },
        { dst: '::/0', gw: 'fd00:2::1' },
      ])
      const routes = await defaultRoutes(host, a)
      t.same(
        routes.map(({ gateway }) => gateway),
        ['10.1.2.1', 'fd00:2::1'],
      )
      t.notOk(routes.some(route => route.prefsrc))
      t.same(await bridgeAddresses(host), ['10.1.2.1/24', 'fd00:3::1/64', 'fd00:2::1/64'])
      for (const gateway of ['10.1.2.1', 'fd00:2::1', 'fd00:3::1']) t.ok(await a.pings(gateway), gateway)
    },
  )

  t.test(
    `[${flavour}] the IPAM plugin's default routes are kept, and completed where they have no gateway`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const routed = (...routes: Json[]) => ({
        isDefaultGateway: true,
        ipam: { ...ipam('10.1.2.0/24'), routes },
      })
      const [a, b] = [await pod('c1'), await pod('c2')]
      const own = await a.add(bridgeConf('v4', routed({ dst: '0.0.0.0/0' }, { dst: '192.0.2.0/24' })))
      t.same(own.routes, [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }, { dst: '192.0.2.0/24' }])
      t.same((await defaultRoutes(host, a)).length, 1)
      const other = await b.add(bridgeConf('v4', routed({ dst: '0.0.0.0/0', gw: '10.1.2.200' })))
      t.same(other.routes, [{ dst: '0.0.0.0/0', gw: '10.1.2.200' }])
    },
  )

  t.test(`[${flavour}] routes carry the priority, table, scope, MTU and advertised MSS of 1.1.0`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const routes = [
      { dst: '192.0.2.0/24', priority: 77, mtu: 1300, advmss: 1260 },
      { dst: '198.51.100.0/24', table: 1000 },
      { dst: '10.9.0.0/24', scope: 253 },
    ]
    const conf = bridgeConf('v4', {
      cniVersion: '1.1.0',
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]], routes: routes.slice(0, 2) },
    })
    const result = await a.add(conf)
    t.same(result.routes, routes.slice(0, 2))
    const all = await host.json<Json[]>('ip', '-n', 'c1', 'route', 'show', 'table', 'all')
    t.match(
      all.find(({ dst }) => dst === '192.0.2.0/24'),
      { gateway: '10.1.2.1', metric: 77, metrics: [{ mtu: 1300, advmss: 1260 }] },
    )
    t.match(
      all.find(({ dst }) => dst === '198.51.100.0/24'),
      { table: '1000' },
    )
    t.equal((await a.call('CHECK', { ...conf, prevResult: result })).code, 0)
    await a.run('ip', 'route', 'del', '198.51.100.0/24', 'table', '1000')
    t.match((await a.call('CHECK', { ...conf, prevResult: result })).json, {
      msg: 'Failed to find route 198.51.100.0/24',
    })
  })

  t.test(`[${flavour}] another IPv4 address of the bridge is an error that says what to do`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const old = bridgeConf('v4', { isGateway: true, ipam: ipam('10.9.0.0/24'), name: 'old' })
    const [a, b, c] = [await pod('c1'), await pod('c2'), await pod('c3')]
    await a.add(old)
    await b.add(old)
    const before = await host.snapshot()
    const { code, json } = await c.call('ADD', bridgeConf('v4', { isGateway: true }))
    t.same([code, json.code], [1, 999])
    t.equal(json.msg, 'failed to set bridge addr: "br0" already has an IP address different from 10.1.2.1/24')
    t.equal(
      json.details,
      'it has 10.9.0.1/24 and 2 port(s) (c1, c2); set "forceAddress": true to replace it, "keepAddresses": ' +
        '"while-used" to keep it as long as a container needs it, or remove it once no container uses it: ' +
        'ip addr del 10.9.0.1/24 dev br0',
    )
    t.equal(await host.snapshot(), before)
    t.ok(await a.pings('10.9.0.1'))
  })

  t.test(`[${flavour}] forceAddress replaces it`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(
      'ip link add br0 type bridge; ip addr add 10.9.0.1/24 dev br0; ip addr add fd00:2::99/60 dev br0',
    )
    const a = await pod('c1')
    await a.add(bridgeConf('dual', { isGateway: true, forceAddress: true }))
    t.same(await bridgeAddresses(host), ['10.1.2.1/24', 'fd00:2::1/64'])
    t.ok(await a.pings('10.1.2.1'))
  })

  t.test(`[${flavour}] IPv6 subnets live together unless they overlap`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const conf = (subnet: string, more = {}) =>
      bridgeConf('v6', {
        isGateway: true,
        ipam: ipam(subnet),
        name: subnet.replaceAll(/[:/]/g, '-'),
        ...more,
      })
    const [a, b, c] = [await pod('c1'), await pod('c2'), await pod('c3')]
    await a.add(conf('fd00:2::/64'))
    await b.add(conf('fd00:3::/64'))
    t.same(await bridgeAddresses(host), ['fd00:3::1/64', 'fd00:2::1/64'])
    const { json } = await c.call('ADD', conf('fd00:2::/31'))
    t.match(json.msg, /already has an IP address different from fd00:2::1\/31$/)
    await c.add(conf('fd00:2::/31', { forceAddress: true }))
    t.same(await bridgeAddresses(host), ['fd00:2::1/31'], 'both overlap')
  })

  t.test(`[${flavour}] two IPv4 subnets of one container are both the bridge's`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add(bridgeConf('v4', { isGateway: true, ipam: ipam('10.1.2.0/24', '10.1.3.0/24') }))
    t.same(await bridgeAddresses(host), ['10.1.2.1/24', '10.1.3.1/24'])
    for (const gateway of ['10.1.2.1', '10.1.3.1']) t.ok(await a.pings(gateway), gateway)
  })

  t.test(`[${flavour}] turning forwarding on does not cost the host its advertised routes`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(
      'sysctl -qw net.ipv6.conf.all.forwarding=0; ip link add up0 type bridge; ip link add up1 type bridge; ' +
        'ip link set up0 up; ip link set up1 up; sysctl -qw net.ipv6.conf.up0.accept_ra=1 net.ipv6.conf.up1.accept_ra=1; ' +
        'ip -6 addr add fd00:9::2/64 dev up0 nodad; ip -6 route add default via fd00:9::1 dev up0 proto ra',
    )
    await (await pod('c1')).add(bridgeConf('v6', { isGateway: true }))
    const values = await host.run(
      'sysctl',
      '-n',
      'net.ipv6.conf.up0.accept_ra',
      'net.ipv6.conf.up1.accept_ra',
    )
    t.same(values.trim().split('\n'), ['2', '1'], 'only where a route came from an advertisement')
    t.match(await host.run('ip', '-6', 'route', 'show', 'default'), /proto ra/)
  })

  t.test(
    `[${flavour}] keepAddresses "while-used": a gateway goes with the last container that needs it`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const ofRange = (subnet: string) =>
        bridgeConf('v4', {
          isGateway: true,
          keepAddresses: 'while-used',
          ipam: ipam(subnet),
          name: subnet.slice(0, 4),
        })
      const [old, next] = [ofRange('10.9.0.0/24'), ofRange('10.1.2.0/24')]
      const [a, b, c, d] = [await pod('c1'), await pod('c2'), await pod('c3'), await pod('c4')]
      await host.sh('ip link add br0 type bridge; ip addr add 10.8.0.1/24 dev br0')
      await a.add(old)
      t.same(await bridgeAddresses(host), ['10.9.0.1/24'], 'one that no container needs is replaced')

      const { code, stderr } = await b.call('ADD', next)
      t.equal(code, 0)
      t.match(stderr, '"br0" keeps 10.9.0.1/24 beside 10.1.2.1/24 while a container uses it: 1 port(s) (c1)')
      t.same(await bridgeAddresses(host), ['10.9.0.1/24', '10.1.2.1/24'])
      t.ok(await a.pings('10.9.0.1'))
      t.ok(await b.pings('10.1.2.1'))
      t.equal((await c.call('ADD', next)).stderr, '', 'said once')

      await a.call('DEL', old)
      await d.add(next)
      t.same(await bridgeAddresses(host), ['10.1.2.1/24'], 'with its last container gone')
      t.ok(await b.pings('10.1.2.1'))

      const forced = await a.call('ADD', { ...old, keepAddresses: false, forceAddress: true })
      t.match(forced.stderr, '"br0" loses 10.1.2.1/24, the gateway of 3 port(s) (c2, c3, c4)')
    },
  )
}
