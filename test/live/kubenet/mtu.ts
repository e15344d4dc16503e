/** The MTU that kubenet gives the bridge, the veth and the pod. */
import t from 'tap'
import { anyFlavour, type Json } from '../../fixtures/cni'
import { kubenetConf, Node } from '../../fixtures/kubenet'

type Case = { readonly what: string; readonly script?: string; readonly more?: Json; readonly mtu: number }

/** One after the other on one host: each finds what those before have made. */
const cases: readonly Case[] = [
  {
    what: '1460, as kubelet had it, where no interface can carry traffic',
    script: 'ip link set up0 down; ip tuntap add tap9 mode tap; ip link set tap9 mtu 72 up',
    mtu: 1460,
  },
  {
    what: 'that of a veth by which the host reaches others',
    script: 'ip link set up0 mtu 1450 up; ip addr add 2001:db8::1/64 dev up0 nodad',
    mtu: 1450,
  },
  {
    what: 'the smallest of the host’s interfaces',
    script: `
      ip link add up1 mtu 1400 type bridge; ip link set up1 up; ip addr add 198.51.100.1/24 dev up1
      ip link add up2 mtu 9000 type bridge; ip link set up2 up; ip addr add 203.0.113.1/24 dev up2`,
    mtu: 1400,
  },
  { what: 'that, less what a tunnel needs', more: { mtuOverhead: 50 }, mtu: 1350 },
  {
    what: '"auto": the smallest of all as long as there is no default route',
    more: { mtu: 'auto' },
    mtu: 1400,
  },
  {
    what: '"auto": the MTU of where the default route leads',
    script: 'ip route add default via 203.0.113.9',
    more: { mtu: 'auto' },
    mtu: 9000,
  },
  { what: '"auto", less what a tunnel needs', more: { mtu: 'auto', mtuOverhead: 80 }, mtu: 8920 },
  {
    what: 'the one configured, of which nothing is taken off',
    more: { mtu: 8873, mtuOverhead: 80 },
    mtu: 8873,
  },
]

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] the MTU of bridge, veth and pod is`, async t => {
    const node = await Node.create(t, flavour)
    await node.host.netns('web')
    for (const { what, script = '', more = {}, mtu } of cases) {
      await t.test(what, async t => {
        await node.host.sh(script)
        const conf = kubenetConf(more)
        const { code, stdout, json } = await node.call('ADD', 'web', conf)
        t.equal(code, 0, stdout)
        const [, { name: veth }] = json.interfaces
        const found = await node.host.sh(
          `ip -j link show cbr0; ip -j link show ${veth}; ip -n web -j link show eth0`,
        )
        t.same(
          found
            .trim()
            .split('\n')
            .map(line => JSON.parse(line)[0].mtu),
          [mtu, mtu, mtu],
        )
        t.same(
          json.interfaces.map((link: Json) => link.mtu),
          [mtu, mtu, mtu],
        )
        await node.del('web', conf)
        await node.host.run('ip', 'link', 'del', 'cbr0')
      })
    }
  })

  t.test(`[${flavour}] an overhead that is no number of bytes is refused`, async t => {
    const node = await Node.create(t, flavour)
    await node.host.netns('web')
    for (const [more, said] of [
      [{ mtu: 'full' }, /mtu/],
      [{ mtuOverhead: -1 }, /mtuOverhead/],
      [{ mtuOverhead: 1501 }, /mtuOverhead/],
    ] as [Json, RegExp][]) {
      const { json } = await node.call('ADD', 'web', kubenetConf(more))
      t.match(json, { code: 7, msg: said }, JSON.stringify(more))
    }
  })
}
