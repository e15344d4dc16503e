import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods, layer2Conf, linksOf } from '../../fixtures/bridge'
import { anyFlavour, type Json } from '../../fixtures/cni'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] hairpinMode lets a frame leave by the port it came in`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const portOf = async (name: string, more: Json) => {
      const result = await (await pod(name)).add(bridgeConf('v4', more))
      return (await linksOf(host)).get(hostVethOf(result)).linkinfo.info_slave_data.hairpin
    }
    t.equal(await portOf('c1', {}), false)
    t.equal(await portOf('c2', { hairpinMode: true }), true)
    t.equal(await portOf('c3', { hairpinMode: 'hairpin-veth' }), true)
    t.equal(await portOf('c4', { hairpinMode: 'none' }), false)
  })

  t.test(`[${flavour}] promiscMode sets the bridge's flag, once, and nothing else does`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const promiscuity = async () => (await linksOf(host)).get('br0').promiscuity
    await (await pod('c1')).add(bridgeConf('v4'))
    t.equal(await promiscuity(), 0)
    for (const name of ['c2', 'c3']) {
      await (await pod(name)).add(bridgeConf('v4', { promiscMode: true }))
      t.equal(await promiscuity(), 1, name)
    }
    await (await pod('c4')).add(
      bridgeConf('v4', { bridge: 'br1', name: 'net1', hairpinMode: 'promiscuous-bridge' }),
    )
    t.equal((await linksOf(host)).get('br1').promiscuity, 1)
  })

  t.test(
    `[${flavour}] another program's use of the bridge is not taken for its promiscuous mode`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      await host.sh('ip link add br0 type bridge && ip link set br0 up')
      // Like a packet capture it counts in the promiscuity, and takes that along when it ends.
      await host.sh('ip link add mv0 link br0 type macvlan mode passthru && ip link set mv0 up')
      t.equal((await linksOf(host)).get('br0').promiscuity, 1)
      await (await pod('c1')).add(bridgeConf('v4', { promiscMode: true }))
      await host.run('ip', 'link', 'del', 'mv0')
      t.equal((await linksOf(host)).get('br0').promiscuity, 1)
    },
  )

  t.test(`[${flavour}] hairpinMode and promiscMode together are refused, and nothing is made`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const { code, json } = await a.call('ADD', bridgeConf('v4', { hairpinMode: true, promiscMode: true }))
    t.equal(code, 1)
    t.match(json, { code: 7, msg: 'cannot set hairpin mode and promiscuous mode at the same time' })
    t.equal((await linksOf(host)).size, 1)
    t.equal((await a.call('DEL', bridgeConf('v4', { hairpinMode: true, promiscMode: true }))).code, 0)
  })

  t.test(`[${flavour}] portIsolation keeps isolated containers apart`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('dual', { isGateway: true, portIsolation: true })
    const [a, b, open] = [await pod('c1'), await pod('c2'), await pod('c3')]
    const result = await a.add(conf)
    await b.add(conf)
    await open.add({ ...conf, portIsolation: false })
    t.equal((await linksOf(host)).get(hostVethOf(result)).linkinfo.info_slave_data.isolated, true)
    t.notOk(await a.pings('10.1.2.3', '-W1'), 'isolated to isolated')
    t.ok(await a.pings('10.1.2.4'), 'isolated to open')
    t.ok(await a.pings('fd00:2::1'), 'isolated to the gateway')
    t.equal((await a.call('CHECK', { ...conf, prevResult: result })).code, 0)
    await host.run('bridge', 'link', 'set', 'dev', hostVethOf(result), 'isolated', 'off')
    t.match((await a.call('CHECK', { ...conf, prevResult: result })).json, { msg: /is not isolated/ })
  })

  t.test(`[${flavour}] disableContainerInterface leaves the interface down, without any address`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const conf = layer2Conf({ disableContainerInterface: true })
    const result = await a.add(conf)
    const eth0 = await a.link()
    t.notOk(eth0.flags.includes('UP'))
    t.same(eth0.addr_info, [])
    t.equal((await a.call('CHECK', { ...conf, prevResult: result })).code, 0)

    const linkLocal = async () => {
      const [bridge] = await host.json<Json[]>('ip', '-6', 'addr', 'show', 'dev', 'br0')
      return bridge?.addr_info.map((found: Json) => [found.local, found.scope, found.tentative ?? false])
    }
    const [first = 0, ...rest] = result.interfaces[0].mac
      .split(':')
      .map((byte: string) => Number.parseInt(byte, 16))
    const hex = [first ^ 2, ...rest.slice(0, 2), 0xff, 0xfe, ...rest.slice(2)]
    const groups = [0, 2, 4, 6].map(i => (hex[i] * 256 + hex[i + 1]).toString(16))
    t.same(
      await linkLocal(),
      [[`fe80::${groups.join(':')}`, 'link', false]],
      'the bridge has its own at once',
    )
    await a.run('ip', 'link', 'set', 'eth0', 'up')
    t.same(await linkLocal(), [[`fe80::${groups.join(':')}`, 'link', false]], 'and no second one')
    t.equal((await a.call('DEL', conf)).code, 0)

    const both = await a.call('ADD', bridgeConf('v4', { disableContainerInterface: true }))
    t.match(both.json, { code: 7, msg: 'cannot use IPAM when DisableContainerInterface flag is set' })
    t.notOk(both.json.details)
    t.same([...(await linksOf(host)).keys()], ['lo', 'br0'])
  })

  t.test(`[${flavour}] the MAC of runtimeConfig wins over args.cni, and that over CNI_ARGS`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const args = 'K8S_POD_NAME=x;MAC=02:00:00:00:00:0A;IgnoreUnknown=1'
    const withArgs = { args: { cni: { mac: '02-00-00-00-00-0B' } } }
    const all = { ...withArgs, RuntimeConfig: { mac: '02:00:00:00:00:0c' } }
    const cases: [Json, string][] = [
      [{}, '02:00:00:00:00:0a'],
      [withArgs, '02:00:00:00:00:0b'],
      [all, '02:00:00:00:00:0c'],
    ]
    for (const [more, mac] of cases) {
      const a = await pod(`c${mac.at(-1)}`)
      for (const conf of [bridgeConf('v4', more), layer2Conf({ ...more, bridge: 'br1' })]) {
        t.equal((await a.add(conf, { args })).interfaces[2].mac, mac)
        t.equal((await a.link()).address, mac)
        await a.call('DEL', conf, { args })
      }
    }
    const bad = await (await pod('c1')).call('ADD', bridgeConf('v4'), { args: 'MAC=nonsense' })
    t.match(bad.json, { code: 4, msg: 'CNI_ARGS: "nonsense" is no MAC address' })
    const badRuntime = await (await pod('c2')).call(
      'ADD',
      bridgeConf('v4', { runtimeConfig: { mac: '1:2' } }),
    )
    t.match(badRuntime.json, { code: 7, msg: 'runtimeConfig.mac: "1:2" is no MAC address' })
  })

  t.test(`[${flavour}] enabledad has the container's addresses checked before ADD returns`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('dual', { isGateway: true, enabledad: true })
    const a = await pod('c1')
    await a.add(conf)
    const v6 = (await a.link()).addr_info.filter(({ family }: Json) => family === 'inet6')
    t.equal(v6.length, 2)
    t.notOk(v6.some(({ tentative, nodad }: Json) => tentative || nodad))
    t.equal((await a.run('sysctl', '-n', 'net.ipv6.conf.eth0.accept_dad')).trim(), '1')
  })

  t.test(
    `[${flavour}] enabledad refuses an address that another host on the bridge has, and undoes the ADD`,
    async t => {
      const { host, pod } = await hostWithPods(t, flavour)
      // No container of the network: whose addresses those have host-local knows.
      await host.sh(`
        ip netns add taken; ip link add br0 type bridge; ip link set br0 up
        ip link add port0 type veth peer name eth0 netns taken; ip link set port0 master br0 up
        ip -n taken addr add fd00:2::2/64 dev eth0 nodad; ip -n taken link set eth0 up
      `)
      const before = await host.snapshot()
      const a = await pod('c1')
      const { code, json } = await a.call('ADD', bridgeConf('v6', { enabledad: true }))
      t.equal(code, 1)
      t.equal(
        json.msg,
        'failed to settle addresses for "eth0": link eth0 has address fd00:2::2 in DADFAILED state',
      )
      t.equal(await host.snapshot(), before)
      t.equal(await a.link(), undefined)
    },
  )

  t.test(`[${flavour}] dns of the configuration wins over the IPAM plugin's`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh('printf "nameserver 192.0.2.1\\nsearch example.org\\n" > /run/resolv.conf')
    const ipam = { ...bridgeConf('v4').ipam, resolvConf: '/run/resolv.conf' }
    const [a, b] = [await pod('c1'), await pod('c2')]
    t.same((await a.add(bridgeConf('v4', { ipam, dns: {} }))).dns, {
      nameservers: ['192.0.2.1'],
      search: ['example.org'],
    })
    const dns = { nameservers: ['192.0.2.9'] }
    t.same((await b.add(bridgeConf('v4', { ipam, dns }))).dns, dns)
  })
}
