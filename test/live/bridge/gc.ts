import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, linksOf } from '../../fixtures/bridge'
import { flavours, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

const conf = bridgeConf('dual', { isGateway: true, ipMasq: true, cniVersion: '1.1.0' })

const valid = (...attachments: [string, string][]): Json => ({
  ...conf,
  'cni.dev/valid-attachments': attachments.map(([containerID, ifname]) => ({ containerID, ifname })),
})

const namesOf = async (host: PrivateHost) => [...(await linksOf(host)).keys()].sort()
const leasesOf = async (host: PrivateHost) =>
  (await host.sh('cd /var/lib/cni/networks/net; ls | grep -E "^(10|fd)" || true'))
    .trim()
    .split('\n')
    .filter(Boolean)
const jumpsOf = async (host: PrivateHost) =>
  (await host.sh('for i in iptables ip6tables; do $i -t nat -S POSTROUTING; done'))
    .split('\n')
    .flatMap(rule => /-s (\S+)/.exec(rule)?.[1] ?? [])

for (const flavour of flavours) {
  t.test(`[${flavour}] GC removes what belongs to no valid attachment, and keeps the rest`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, b, c] = [await pod('c1'), await pod('c2'), await pod('c3')]
    const kept = await a.add(conf)
    await b.add(conf)
    const otherNetwork = await c.add({
      ...conf,
      name: 'other',
      ipam: { ...conf.ipam, ranges: [[{ subnet: '10.7.0.0/24' }]] },
      bridge: 'br1',
    })
    await host.run('ip', 'netns', 'del', 'c2')
    const { code, stdout } = await a.call('GC', valid(['c1', 'eth0'], ['c9', 'eth0']), { containerID: '' })
    t.same([code, stdout], [0, ''])
    t.same(await namesOf(host), ['br0', 'br1', 'lo', hostVethOf(kept), hostVethOf(otherNetwork)].sort())
    t.same(await leasesOf(host), ['10.1.2.2', 'fd00:2::2'])
    t.same(await jumpsOf(host), ['10.1.2.2/32', '10.7.0.2/32', 'fd00:2::2/128'])
    t.ok(await a.pings('10.1.2.1'))
    t.equal((await a.call('CHECK', { ...conf, prevResult: kept })).code, 0)
  })

  t.test(`[${flavour}] GC goes by the interface too, not by the container alone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add({ ...conf, isGateway: false })
    const kept = await a.add({ ...conf, isGateway: false }, { ifName: 'eth1' })
    t.equal((await a.call('GC', valid(['c1', 'eth1']))).code, 0)
    t.same(await namesOf(host), ['br0', 'lo', hostVethOf(kept)].sort())
    t.same(await leasesOf(host), ['10.1.2.3', 'fd00:2::3'])
  })

  t.test(`[${flavour}] GC finds a veth that was taken out of the bridge, and half-made ones`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, b] = [await pod('c1'), await pod('c2')]
    const out = await a.add(conf)
    const named = await b.add(conf)
    await host.sh(`
      ip link set ${hostVethOf(out)} nomaster; ip link set ${hostVethOf(named)} group 27502
      ip link add half type veth peer name half1; ip link set half master br0 group 27502
      ip link add foreign type veth peer name foreign1; ip link set foreign master br0
      ip link add lone type veth peer name lone1; ip link set lone group 27502
    `)
    t.equal((await a.call('GC', valid())).code, 0)
    t.same(await namesOf(host), ['br0', 'foreign', 'foreign1', 'lo', 'lone', 'lone1'])
    t.same(await leasesOf(host), [])
    t.same(await jumpsOf(host), [])
  })

  t.test(`[${flavour}] GC wants to be told what is valid`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add(conf)
    const before = await host.snapshot()
    t.match((await a.call('GC', conf)).json, { code: 7, msg: /valid-attachments/ })
    t.equal(await host.snapshot(), before)
    t.equal(
      (await a.call('GC', { ...conf, 'cni.dev/attachments': [{ containerID: 'c1', ifname: 'eth0' }] })).code,
      0,
    )
    t.equal(await host.snapshot(), before, 'the other key that runtimes send')
  })

  t.test(`[${flavour}] GC goes on when the IPAM plugin fails, and says so`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await a.add(conf)
    const { code, json } = await a.call('GC', valid(), { path: '/run/none' })
    t.equal(code, 1)
    t.match(json.msg, /failed to find plugin "host-local"/)
    t.same(await namesOf(host), ['br0', 'lo'])
    t.same(await jumpsOf(host), [])
    t.equal((await a.call('GC', valid())).code, 0)
    t.same(await leasesOf(host), [])
  })
}
