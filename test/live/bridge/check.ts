import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, layer2Conf } from '../../fixtures/bridge'
import { anyFlavour, flavours, type Json } from '../../fixtures/cni'

const conf = bridgeConf('dual', {
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  cniVersion: '1.1.0',
})

/** A fault of a connected container or its host, its repair, and the error of CHECK. */
type Damage = { what: string; harm: string; repair: string; says: RegExp | string }

const damagesOf = (veth: string, result: Json): Damage[] => [
  {
    what: 'the container’s interface is down',
    harm: 'ip -n c1 link set eth0 down',
    repair:
      'ip -n c1 link set eth0 up; ip -n c1 route add default via 10.1.2.1; ip -n c1 -6 route add default via fd00:2::1',
    says: 'Interface eth0 is down',
  },
  {
    what: 'an IPv4 address is missing',
    harm: 'ip -n c1 addr del 10.1.2.2/24 dev eth0',
    repair: 'ip -n c1 addr add 10.1.2.2/24 dev eth0; ip -n c1 route add default via 10.1.2.1',
    says: 'Failed to match addr 10.1.2.2/24 on interface eth0',
  },
  {
    what: 'an IPv6 address is missing',
    harm: 'ip -n c1 addr del fd00:2::2/64 dev eth0',
    repair: 'ip -n c1 addr add fd00:2::2/64 dev eth0 nodad; ip -n c1 -6 route replace default via fd00:2::1',
    says: 'Failed to match addr fd00:2::2/64 on interface eth0',
  },
  {
    what: 'the default route is missing',
    harm: 'ip -n c1 route del default',
    repair: 'ip -n c1 route add default via 10.1.2.1',
    says: 'Failed to find route 0.0.0.0/0 via 10.1.2.1',
  },
  {
    what: 'the default route goes elsewhere',
    harm: 'ip -n c1 -6 route replace default via fd00:2::9',
    repair: 'ip -n c1 -6 route replace default via fd00:2::1',
    says: 'Failed to find route ::/0 via fd00:2::1',
  },
  {
    what: 'the container’s MAC is another',
    harm: 'ip -n c1 link set eth0 address 02:00:00:00:00:99',
    repair: `ip -n c1 link set eth0 address ${result.interfaces[2].mac}`,
    says: /^Interface eth0 Mac .* doesn't match container Mac: 02:00:00:00:00:99$/,
  },
  {
    what: 'the bridge’s MAC is another',
    harm: 'ip link set br0 address 02:00:00:00:00:98',
    repair: `ip link set br0 address ${result.interfaces[0].mac}`,
    says: /^Bridge interface br0 Mac doesn't match: /,
  },
  {
    what: 'the host veth is no port of the bridge',
    harm: `ip link set ${veth} nomaster`,
    repair: `ip link set ${veth} master br0; bridge link set dev ${veth} hairpin on`,
    says: `CNI veth created for bridge br0 was not found: "${veth}" is no port of it`,
  },
  {
    what: 'the port is out of hairpin mode',
    harm: `bridge link set dev ${veth} hairpin off`,
    repair: `bridge link set dev ${veth} hairpin on`,
    says: `bridge port ${veth} is not in hairpin mode`,
  },
  {
    what: 'the MTU of one end is another',
    harm: `ip link set ${veth} mtu 1400`,
    repair: `ip link set ${veth} mtu 1500`,
    says: /^the MTUs of eth0, veth[0-9a-f]+ and br0 do not match: 1500, 1400, 1400, configured 1500$/,
  },
  {
    what: 'the bridge lacks a gateway',
    harm: 'ip addr del 10.1.2.1/24 dev br0',
    repair: 'ip addr add 10.1.2.1/24 dev br0',
    says: 'br0 lacks the gateway 10.1.2.1 of 10.1.2.2/24',
  },
  {
    what: 'the bridge is down',
    harm: 'ip link set br0 down',
    repair: 'ip link set br0 up; ip addr add fd00:2::1/64 dev br0 nodad',
    says: 'bridge br0 is down',
  },
  {
    what: 'a masquerade rule is missing',
    harm: 'iptables-save -t nat > /run/nat; iptables -t nat -F POSTROUTING',
    repair: 'iptables-restore < /run/nat',
    says: 'masquerade rules are missing',
  },
  {
    what: 'the lease is gone',
    harm: 'mkdir /run/kept; mv /var/lib/cni/networks/net/10.1.2.2 /var/lib/cni/networks/net/fd00* /run/kept',
    repair: 'mv /run/kept/* /var/lib/cni/networks/net/; rmdir /run/kept',
    says: /^host-local: /,
  },
]

for (const flavour of flavours) {
  t.test(`[${flavour}] CHECK finds what is not as ADD made it, and nothing else`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const result = await a.add(conf)
    const check = () => a.call('CHECK', { ...conf, prevResult: result })
    t.same(await check().then(({ code, stdout }) => [code, stdout]), [0, ''])
    // The other flavour's code is the same here: one each of the container, the bridge and the rules shows that it answers.
    const damages = damagesOf(hostVethOf(result), result).filter(
      (_, i) => anyFlavour.includes(flavour) || i % 6 === 0,
    )
    let repairLast = ':'
    for (const { what, harm, repair, says } of damages) {
      // A fault without a repair would be in the next CHECK's error.
      await host.sh(`${repairLast}\n${harm}`)
      const { code, json } = await check()
      t.equal(code, 1, what)
      t.match(json?.msg, says, what)
      repairLast = repair
    }
    await host.sh(repairLast)
    t.same(await check().then(({ code, stdout }) => [code, stdout]), [0, ''], 'repaired')
  })
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] CHECK fails when a whole end is gone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const harms: [string, RegExp][] = [
      ['ip -n c1 link del eth0', /^CNI created interface in container eth0 not found$/],
      ['ip link del br0', /^Interface name br0 not found$/],
      ['ip -n c1 link del eth0; ip -n c1 link add eth0 type bridge', /not of type veth$/],
      [
        'ip link del br0; ip link add br0 type veth peer name x',
        /^Interface br0 does not have link type of bridge$/,
      ],
    ]
    for (const [harm, says] of harms) {
      const a = await pod('c1')
      const result = await a.add(conf)
      await host.sh(harm)
      t.match((await a.call('CHECK', { ...conf, prevResult: result })).json, { code: 999, msg: says })
      t.equal((await a.call('DEL', { ...conf, prevResult: result })).code, 0)
      await host.sh('ip netns del c1; for i in br0 x; do ip link del $i 2> /dev/null || true; done')
    }
  })

  t.test(`[${flavour}] CHECK goes by a configuration that names little, and a longer prevResult`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const result = await a.add({ ...conf, promiscMode: true, hairpinMode: false })
    const { cniVersion, name, type, bridge, ipam } = conf
    const bare = { cniVersion, name, type, bridge, ipam: { ...ipam, routes: null, resolvConf: '' }, dns: {} }
    const longer = {
      ...result,
      interfaces: [
        ...result.interfaces,
        { name: 'bwp0', mac: '02:00:00:00:00:01' },
        { name: 'other', sandbox: '/x' },
      ],
      ips: [...result.ips, { interface: 4, address: '192.0.2.1/24' }],
    }
    for (const prevResult of [result, longer]) {
      const { code, stdout } = await a.call('CHECK', { ...bare, prevResult })
      t.same([code, stdout], [0, ''])
    }
    await host.run('ip', 'addr', 'add', '10.55.0.1/24', 'dev', 'br0')
    await a.run('ip', 'route', 'add', '198.51.100.0/24', 'via', '10.1.2.1')
    t.equal((await a.call('CHECK', { ...bare, prevResult: result })).code, 0, 'additions are no damage')
  })

  t.test(`[${flavour}] CHECK of layer 2 works`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const result = await a.add(layer2Conf())
    const { code, stdout } = await a.call('CHECK', layer2Conf({ prevResult: result }))
    t.same([code, stdout], [0, ''])
  })

  t.test(`[${flavour}] CHECK refuses a prevResult that is missing or of another container`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const result = await a.add(conf)
    t.match((await a.call('CHECK', conf)).json, { code: 7, msg: 'Required prevResult missing' })
    const elsewhere = structuredClone(result)
    elsewhere.interfaces[2].sandbox = '/run/netns/c9'
    t.match((await a.call('CHECK', { ...conf, prevResult: elsewhere })).json, {
      msg: "Sandbox in prevResult /run/netns/c9 doesn't match configured netns: /run/netns/c1",
    })
    t.match((await a.call('CHECK', { ...conf, bridge: 'br9', prevResult: result })).json, {
      msg: 'CNI created bridge br9 in host namespace was not found',
    })
    t.match((await a.call('CHECK', { ...conf, prevResult: { cniVersion: '1.0.0', ips: 7 } })).json, {
      code: 6,
    })
  })
}
