/** What the runtime and the configuration of kubenet may ask for, and what is refused. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'

for (const flavour of flavours) {
  t.test(`[${flavour}] capabilities of the runtime`, async t => {
    const node = await Node.create(t, flavour)
    await t.test('ips and mac are asked for', async t => {
      const runtimeConfig = { ips: ['10.244.1.77'], mac: '0a:00:00:00:00:77' }
      const { ips, interfaces } = await node.add('asks', kubenetConf({ runtimeConfig }))
      t.equal(ips[0].address, '10.244.1.77/24')
      t.equal(interfaces[2].mac, '0a:00:00:00:00:77')
    })
    await t.test('ipRanges take the place of the node’s', async t => {
      const runtimeConfig = { ipRanges: [[{ subnet: '10.99.0.0/24' }]] }
      const { ips, routes } = await node.add('ranged', kubenetConf({ runtimeConfig }))
      t.same([ips.map(({ address }: Json) => address), routes], [['10.99.0.2/24'], [{ dst: '0.0.0.0/0' }]])
      await node.inPod('ranged', 'ping -nq -c1 -W2 10.244.1.77')
    })
    await t.test('bandwidth shapes both directions, keys in containerd’s case', async t => {
      const bandwidth = {
        IngressRate: 16_000_000,
        IngressBurst: 4294967295,
        EgressRate: 8_000_000,
        EgressBurst: 4294967295,
      }
      const { interfaces } = await node.add('shaped', kubenetConf({ runtimeConfig: { bandwidth } }))
      const qdiscs = await node.host.json<Json[]>('tc', 'qdisc', 'show')
      const rate = (dev: string) =>
        qdiscs.find(qdisc => qdisc.dev === dev && qdisc.kind === 'tbf')?.options.rate
      t.match(interfaces[3].name, /^bwp[0-9a-f]{12}$/)
      t.same([rate(interfaces[1].name), rate(interfaces[3].name)], [2_000_000, 1_000_000])
    })
  })

  t.test(`[${flavour}] a configuration that cannot be is refused with code 7`, async t => {
    const node = await Node.create(t, flavour)
    await node.host.netns('web')
    const before = await node.host.snapshot()
    const cases: [Json, RegExp][] = [
      [{ podCIDRs: undefined }, /kubenet: needs "podCIDR" or "podCIDRs"/],
      [{ podCIDRs: ['10.244.1.5/24'] }, /"podCIDR": 10.244.1.5\/24 has host bits set/],
      [{ podCIDRs: ['10.244.1.0/24', '10.244.2.0/24'] }, /"podCIDRs" has more than one IPv4 range/],
      [{ podCIDR: '10.244' }, /podCIDR/],
      [{ hairpinMode: 'sometimes' }, /hairpinMode/],
      [{ backend: 'ipchains' }, /backend/],
      [{ nonMasqueradeCIDR: '10.0.0.1/8' }, /"nonMasqueradeCIDR": 10.0.0.1\/8 has host bits set/],
      [{ mtu: 20 }, /"mtu": 20 is not between/],
      [{ mtu: 1000 }, /"mtu": 1000 is not between 1280 and 65535, as IPv6 needs it/],
      [
        { runtimeConfig: { portMappings: [{ hostPort: 70000, containerPort: 80 }] } },
        /Invalid host port number: 70000/,
      ],
    ]
    for (const [more, said] of cases) {
      const { code, json } = await node.call('ADD', 'web', kubenetConf(more))
      t.match([code, json?.code, json?.msg], [1, 7, said], JSON.stringify(more))
    }
    const after = await node.host.snapshot()
    // A bridge that was made stays: others may have come to use it.
    t.equal(after.replace(/^cbr0 .*\n/gm, ''), before)
  })
}
