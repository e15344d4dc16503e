import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, layer2Conf, linksOf, type Pod } from '../../fixtures/bridge'
import { anyFlavour, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

/** A range of IPv4 that no other network of these tests has. */
const v4Only = { type: 'host-local', ranges: [[{ subnet: '10.5.2.0/24' }]] }

/** The MTUs of bridge, host veth and container after an ADD. */
const mtusOf = async (host: PrivateHost, pod: Pod, result: Json): Promise<number[]> => {
  const links = await linksOf(host)
  return [links.get(result.interfaces[0].name).mtu, links.get(hostVethOf(result)).mtu, (await pod.link()).mtu]
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] without "mtu" the smallest MTU of what can carry pods' traffic is taken`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const cases: { what: string; script: string; expected: number }[] = [
      { what: 'no interface: the kernel’s default', script: 'true', expected: 1500 },
      {
        what: 'one interface',
        script: 'ip link add up0 mtu 9000 type bridge; ip addr add 192.0.2.1/28 dev up0; ip link set up0 up',
        expected: 9000,
      },
      {
        what: 'the smallest of two',
        script: 'ip link add up1 mtu 1400 type bridge; ip addr add 192.0.2.17/28 dev up1; ip link set up1 up',
        expected: 1400,
      },
      { what: 'one that is down does not count', script: 'ip link set up1 down', expected: 9000 },
      {
        what: 'a tap without address does not count',
        script: 'ip tuntap add tap9 mode tap; ip link set tap9 mtu 72 up',
        expected: 9000,
      },
      {
        what: 'veths without address do not count',
        script:
          'ip link add v0 mtu 1000 type veth peer name v1 mtu 1000; ip link set v0 up; ip link set v1 up',
        expected: 9000,
      },
      {
        what: 'a veth that leads to a container of another plugin does not count',
        script:
          'ip netns add other; ip link add p0 mtu 1000 type veth peer name eth0 mtu 1000 netns other; ' +
          'ip link set p0 up; ip addr add 10.8.0.1/32 dev p0; ip route add 10.8.0.7 dev p0',
        expected: 9000,
      },
      {
        what: 'an ifb does not count',
        script: 'ip link add if0 type ifb; ip link set if0 mtu 1000 up',
        expected: 9000,
      },
      {
        what: 'a port of another bridge counts as this',
        script:
          'ip tuntap add tap0 mode tap; ip link set tap0 mtu 1200 master up0 up; ip link set up0 mtu 9000',
        expected: 9000,
      },
      {
        what: 'a tunnel with an address counts',
        script: 'ip tuntap add tun0 mode tun; ip link set tun0 mtu 1420 up; ip addr add 10.7.0.1/32 dev tun0',
        expected: 1420,
      },
      {
        what: 'an interface with a route and no address counts',
        script: 'ip route add 198.51.100.0/24 dev tap9; ip link set tap9 mtu 1300',
        expected: 1300,
      },
      {
        what: 'a veth with an address of the node counts, as in kind, LXD and k3d',
        script: 'ip addr add 192.0.2.33/28 dev v0; ip link set v0 mtu 1250; ip link set v1 mtu 1250',
        expected: 1250,
      },
      {
        what: 'a veth with a default route counts, as in a pod',
        script:
          'ip addr flush dev v0; ip addr add 10.6.0.7/32 dev v0; ip route add 169.254.1.1 dev v0; ' +
          'ip route add default via 169.254.1.1 dev v0; ip link set v0 mtu 1240; ip link set v1 mtu 1240',
        expected: 1240,
      },
      { what: 'never below 576', script: 'ip link set v0 mtu 500; ip link set v1 mtu 500', expected: 576 },
    ]
    for (const [i, { what, script, expected }] of cases.entries()) {
      await host.sh(script)
      const a = await pod(`c${i}`)
      const conf = bridgeConf('v4', { bridge: `br${i}`, name: `net${i}` })
      t.same(await mtusOf(host, a, await a.add(conf)), [expected, expected, expected], what)
      await a.call('DEL', conf)
      await host.run('ip', 'link', 'del', `br${i}`)
    }
  })

  t.test(`[${flavour}] the bridge's own ports do not count for the next container`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(
      'ip link add up0 mtu 1400 type bridge; ip addr add 192.0.2.1/28 dev up0; ip link set up0 up',
    )
    const [a, b] = [await pod('c1'), await pod('c2')]
    await a.add(bridgeConf('v4'))
    await host.run('ip', 'link', 'set', 'up0', 'mtu', '1450')
    const result = await b.add(bridgeConf('v4'))
    t.same((await mtusOf(host, b, result)).slice(1), [1400, 1400], 'the older port keeps the bridge at 1400')
    await a.call('DEL', bridgeConf('v4'))
    await b.call('DEL', bridgeConf('v4'))
    t.same(
      await mtusOf(host, b, await b.add(bridgeConf('v4'))),
      [1450, 1450, 1450],
      'with no port left it is raised',
    )
  })

  t.test(
    `[${flavour}] an explicit "mtu" is what bridge and veth get, and the result of 1.1.0 says`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      const a = await pod('c1')
      const result = await a.add(bridgeConf('dual', { mtu: 9000, isGateway: true, cniVersion: '1.1.0' }))
      t.same(await mtusOf(host, a, result), [9000, 9000, 9000])
      t.same(
        result.interfaces.map(({ mtu }: Json) => mtu),
        [9000, 9000, 9000],
      )
      for (const gateway of ['10.1.2.1', 'fd00:2::1']) t.ok(await a.pings(gateway, '-s8900', '-Mdo'), gateway)
    },
  )

  t.test(
    `[${flavour}] a smaller "mtu" lowers the bridge as well, unless its MTU was set by hand`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await host.sh('ip link add br0 type bridge; ip link add br1 type bridge; ip link set br1 mtu 1600')
      for (const [bridge, mtu] of [
        ['br0', 1400],
        ['br1', 1600],
      ] as const) {
        const a = await pod(bridge)
        const result = await a.add(bridgeConf('v4', { bridge, mtu: 1400, cniVersion: '1.1.0' }))
        t.same(await mtusOf(host, a, result), [mtu, 1400, 1400])
        t.same(
          result.interfaces.map((link: Json) => link.mtu),
          [mtu, 1400, 1400],
        )
        await a.call('DEL', bridgeConf('v4'))
      }
    },
  )

  t.test(
    `[${flavour}] a bridge below "mtu" is raised while no port is smaller, and refused after`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await host.sh('ip link add br0 type bridge; ip link set br0 up mtu 1500')
      const [a, b, c] = [await pod('c1'), await pod('c2'), await pod('c3')]
      t.same(await mtusOf(host, a, await a.add(layer2Conf({ mtu: 2000 }))), [2000, 2000, 2000])
      const { code, json } = await b.call('ADD', layer2Conf({ mtu: 9000 }))
      t.equal(code, 1)
      t.match(json, { code: 7, msg: '"mtu" is 9000, but bridge "br0" has 2000 and cannot be raised' })
      t.match(json.details, /its port "veth[0-9a-f]+" has MTU 2000/)
      t.equal((await linksOf(host)).size, 3, 'nothing was made')
      t.same(await mtusOf(host, c, await c.add(layer2Conf({ mtu: 2000 }))), [2000, 2000, 2000])
    },
  )

  t.test(`[${flavour}] values no link can have are refused, by ADD and STATUS but not by DEL`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    for (const mtu of [67, -1, 65536]) {
      const conf = bridgeConf('v4', { mtu, cniVersion: '1.1.0' })
      for (const command of ['ADD', 'STATUS']) {
        const { json } = await a.call(command, conf)
        t.match(json, { code: 7, msg: `"mtu": ${mtu} is not between 68 and 65535` }, command)
      }
      t.equal((await a.call('DEL', conf)).code, 0)
    }
    t.equal((await linksOf(host)).size, 1)
    t.same(await mtusOf(host, a, await a.add(bridgeConf('v4', { mtu: 68 }))), [68, 68, 68])
  })

  t.test(`[${flavour}] IPv6 needs 1280`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    for (const stack of ['v6', 'dual'] as const) {
      const { json } = await a.call('ADD', bridgeConf(stack, { mtu: 1279 }))
      t.match(json, { code: 7, msg: '"mtu": 1279 is not between 1280 and 65535, as IPv6 needs it' }, stack)
      t.equal(await a.link(), undefined, 'the ADD was undone')
      t.equal(await host.sh('find /var/lib/cni -name "*.*.*.*" -o -name "fd*"'), '', 'no lease is left')
    }
    t.same(await mtusOf(host, a, await a.add(bridgeConf('v6', { mtu: 1280 }))), [1280, 1280, 1280])

    await host.sh(
      'ip link add up0 mtu 1000 type bridge; ip addr add 192.0.2.1/28 dev up0; ip link set up0 up',
    )
    const [b, c] = [await pod('c2'), await pod('c3')]
    const taken = await b.add(bridgeConf('dual', { bridge: 'br1', name: 'net1', mtu: 0 }))
    t.same(await mtusOf(host, b, taken), [1280, 1280, 1280], 'the smallest that IPv6 takes')
    const v4 = await c.add(bridgeConf('v4', { bridge: 'br2', name: 'net2', ipam: v4Only }))
    t.same(await mtusOf(host, c, v4), [1000, 1000, 1000], 'without IPv6 that of the interface')
  })

  t.test(`[${flavour}] "auto" is the MTU of where the default routes lead, less "mtuOverhead"`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(`
      ip link add up0 mtu 9000 type bridge; ip link add up1 mtu 1400 type bridge; ip link add up2 mtu 1300 type bridge
      ip addr add 192.0.2.1/28 dev up0; ip addr add 192.0.2.17/28 dev up1; ip addr add 192.0.2.33/28 dev up2
      for i in 0 1 2; do ip link set up$i up; done
    `)
    const cases: { what: string; script: string; more: Json; expected: number }[] = [
      {
        what: 'no default route: the smallest of all',
        script: 'true',
        more: { mtu: 'auto' },
        expected: 1300,
      },
      {
        what: 'one default route',
        script: 'ip route add default via 192.0.2.2 dev up0',
        more: { mtu: 'auto' },
        expected: 9000,
      },
      { what: 'less the overhead', script: 'true', more: { mtu: 'auto', mtuOverhead: 50 }, expected: 8950 },
      { what: 'the overhead without "auto"', script: 'true', more: { mtuOverhead: 50 }, expected: 1250 },
      { what: 'an MTU that is given', script: 'true', more: { mtu: 1450, mtuOverhead: 50 }, expected: 1450 },
      {
        what: 'one of each family',
        script: 'ip -6 route add default dev up1',
        more: { mtu: 'auto' },
        expected: 1400,
      },
      {
        what: 'several ways',
        script:
          'ip -6 route del default; ip route replace default nexthop via 192.0.2.2 dev up0 nexthop via 192.0.2.18 dev up1',
        more: { mtu: 'auto' },
        expected: 1400,
      },
    ]
    const a = await pod('c1')
    for (const { what, script, more, expected } of cases) {
      await host.sh(script)
      const conf = bridgeConf('v4', { ...more, cniVersion: '1.1.0' })
      const result = await a.add(conf)
      t.same(await mtusOf(host, a, result), [expected, expected, expected], what)
      t.equal(result.interfaces[2].mtu, expected, what)
      await a.call('DEL', conf)
      await host.run('ip', 'link', 'del', 'br0')
    }
    t.match((await a.call('ADD', bridgeConf('v4', { mtu: 'large' }))).json, {
      code: 7,
      msg: /"mtu": expected/,
    })
  })
}
