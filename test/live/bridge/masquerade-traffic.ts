import t from 'tap'
import { bridgeConf, hostWithPods } from '../../fixtures/bridge'
import { anyFlavour } from '../../fixtures/cni'
import { masquerading as conf, prepareTables, rulesOf } from '../../fixtures/masquerade'
import type { PrivateHost } from '../../fixtures/private-host'
import { ask, type Endpoint, serve } from '../../fixtures/traffic'

/** The neighbour's addresses. */
const outside = ['203.0.113.2', '2001:db8:1::2', '192.0.2.2', '2001:db8:2::2']

const endpoints = (hosts: readonly string[]): Endpoint[] =>
  hosts.map(host => ({ protocol: 'udp', host, port: 7777 }))

/** The address under which a server at `to` hears what a namespace sends. */
const heardAs = async (host: PrivateHost, netns: string, to: string): Promise<string | undefined> => {
  const [target] = endpoints([to])
  const { answer } = await ask(host, netns, target ? { answer: target } : {})
  return answer?.from ?? answer?.error
}

/** Puts a neighbour behind the host's uplink: it has an address there and one further off, and routes to the pods. */
const addOutside = async (host: PrivateHost): Promise<void> => {
  // Nothing is sent over an uplink whose link-local address is still being checked.
  await host.sh('sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0')
  // Without nodad, an address may not be bound to at once, not even one of lo.
  await host.uplink('out', '203.0.113.1/24')
  await host.sh(`
    ip addr add 2001:db8:1::1/64 dev out nodad
    ip -n out addr add 203.0.113.2/24 dev eth0; ip -n out addr add 2001:db8:1::2/64 dev eth0 nodad
    ip -n out link set lo up; ip -n out addr add 192.0.2.2/32 dev lo; ip -n out addr add 2001:db8:2::2/128 dev lo nodad
    ip -n out route add 10.1.2.0/24 via 203.0.113.1; ip -n out route add fd00:2::/64 via 2001:db8:1::1
    ip route add 192.0.2.0/24 via 203.0.113.2; ip route add 2001:db8:2::/64 via 2001:db8:1::2
  `)
}

for (const flavour of anyFlavour) {
  for (const backend of ['iptables', 'nftables'])
    t.test(`[${flavour}] ${backend}: what leaves the pods' subnet has the host's address`, async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await addOutside(host)
      await serve(t, host, 'out', endpoints(outside))
      const [a, b] = [await pod('c1'), await pod('c2')]
      const exempt = { nonMasqueradeCIDRs: ['192.0.2.0/24', '2001:db8:2::/64'] }
      await a.add({ ...conf, ...exempt, ipMasqBackend: backend })
      await b.add({ ...conf, ipMasqBackend: backend })
      const cases = [
        { from: 'c1', to: '203.0.113.2', as: '203.0.113.1' },
        { from: 'c1', to: '2001:db8:1::2', as: '2001:db8:1::1' },
        { from: 'c1', to: '192.0.2.2', as: '10.1.2.2', why: 'its nonMasqueradeCIDRs' },
        { from: 'c1', to: '2001:db8:2::2', as: 'fd00:2::2', why: 'its nonMasqueradeCIDRs' },
        { from: 'c2', to: '192.0.2.2', as: '203.0.113.1', why: 'those are of the other' },
        { from: 'c2', to: '2001:db8:2::2', as: '2001:db8:1::1', why: 'those are of the other' },
      ]
      for (const { from, to, as, why = '' } of cases)
        t.equal(await heardAs(host, from, to), as, `${from} to ${to} ${why}`)

      await serve(t, host, 'c2', endpoints(['10.1.2.3', 'fd00:2::3']))
      t.equal(await heardAs(host, 'c1', '10.1.2.3'), '10.1.2.2', 'between pods nothing is masqueraded')
      t.equal(await heardAs(host, 'c1', 'fd00:2::3'), 'fd00:2::2')
      for (const to of ['203.0.113.2', '2001:db8:1::2']) t.ok(await a.pings(to), `ping ${to}`)
    })

  t.test(`[${flavour}] without ipMasq packets keep their address`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await addOutside(host)
    await serve(t, host, 'out', endpoints(outside))
    await (await pod('c1')).add(bridgeConf('dual', { isDefaultGateway: true }))
    t.equal(await heardAs(host, 'c1', '203.0.113.2'), '10.1.2.2')
    t.equal(await heardAs(host, 'c1', '2001:db8:1::2'), 'fd00:2::2')
    t.equal(await rulesOf(host), '')
  })

  t.test(
    `[${flavour}] two interfaces of a container on one network are masqueraded each by itself`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await prepareTables(host)
      const before = await host.run('nft', '-s', 'list', 'ruleset')
      await addOutside(host)
      await serve(t, host, 'out', endpoints(outside))
      const a = await pod('c1')
      const second = { ...conf, isDefaultGateway: false, isGateway: true }
      const first = await a.add(second)
      const other = await a.add(conf, { ifName: 'eth1' })
      for (const [result, ifName] of [[first, 'eth0'] as const, [other, 'eth1'] as const]) {
        const { code, stdout } = await a.call('CHECK', { ...conf, prevResult: result }, { ifName })
        t.same([code, stdout], [0, ''], ifName)
      }
      t.equal((await a.call('DEL', second)).stdout, '')
      t.equal(await heardAs(host, 'c1', '203.0.113.2'), '203.0.113.1', 'with eth0 gone')
      // As containerd does: again, and without a namespace.
      for (const netns of [a.netns, '']) t.equal((await a.call('DEL', second, { netns })).code, 0)
      t.equal(await heardAs(host, 'c1', '203.0.113.2'), '203.0.113.1', 'after more DELs of eth0')
      t.equal(await heardAs(host, 'c1', '2001:db8:1::2'), '2001:db8:1::1')
      t.equal((await a.call('CHECK', { ...conf, prevResult: other }, { ifName: 'eth1' })).code, 0)
      t.equal((await a.call('DEL', conf, { ifName: 'eth1' })).code, 0)
      t.equal(await host.run('nft', '-s', 'list', 'ruleset'), before)
    },
  )
}
