import t from 'tap'
import {
  addressesOf,
  bridgeConf,
  hostVethOf,
  hostWithPods,
  layer2Conf,
  linksOf,
  stacks,
} from '../../fixtures/bridge'
import { flavours, type Json } from '../../fixtures/cni'

for (const flavour of flavours) {
  t.test(`[${flavour}] containers reach each other and their gateway as soon as ADD returns`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    for (const stack of ['v4', 'v6', 'dual'] as const) {
      const conf = bridgeConf(stack, { isDefaultGateway: true, bridge: `br-${stack}`, name: `net-${stack}` })
      const [a, b] = [await pod(`a-${stack}`), await pod(`b-${stack}`)]
      await a.add(conf)
      for (const gateway of stacks[stack].gateways)
        t.ok(await a.pings(gateway), `${stack}: first to ${gateway}`)
      const { ips } = await b.add(conf)
      for (const { address } of ips) {
        const [bare] = address.split('/')
        t.ok(await a.pings(bare), `${stack}: a to ${bare}`)
        t.equal(
          (await host.exec(['ping', '-n', '-c1', '-W2', bare])).code,
          0,
          `${stack}: the host to ${bare}`,
        )
      }
      for (const ip of stacks[stack].ips) t.ok(await b.pings(ip.split('/')[0] ?? ''), `${stack}: b to ${ip}`)
      for (const gateway of stacks[stack].gateways)
        t.ok(await b.pings(gateway), `${stack}: second to ${gateway}`)
      await host.run('ip', 'link', 'del', `br-${stack}`)
    }
  })

  t.test(`[${flavour}] no address is tentative and the link-local one is there when ADD returns`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    for (const stack of ['v4', 'v6', 'dual'] as const) {
      const a = await pod(stack)
      await a.add(bridgeConf(stack, { isGateway: true, bridge: `br-${stack}`, name: `net-${stack}` }))
      const eth0 = await a.link()
      const v6 = eth0.addr_info.filter(({ family }: Json) => family === 'inet6')
      const expected = stacks[stack].ips.filter(ip => ip.includes(':')).length + 1
      t.equal(v6.length, expected, `${stack}: its IPv6 addresses and the link-local one`)
      t.notOk(
        v6.some(({ tentative, dadfailed }: Json) => tentative || dadfailed),
        stack,
      )
      t.equal(eth0.operstate, 'UP', stack)
      const bridge = (await linksOf(host)).get(`br-${stack}`)
      t.notOk(
        bridge.addr_info.some(({ tentative }: Json) => tentative),
        `${stack}: on the bridge`,
      )
    }
    const sysctls = ['ipv6.conf.eth0.accept_dad', 'ipv4.conf.eth0.arp_notify', 'ipv6.conf.eth0.ndisc_notify']
    const values = await host.sh(
      `ip netns exec dual sysctl -n ${sysctls.map(key => `net.${key}`).join(' ')}; sysctl -n net.ipv6.conf.br-dual.accept_ra`,
    )
    t.same(values.trim().split('\n'), ['0', '1', '1', '0'], `${sysctls.join(', ')}, accept_ra of the bridge`)
    const layer2 = await pod('layer2')
    await layer2.add(layer2Conf({ bridge: 'br-l2' }))
    const eth0 = await layer2.link()
    t.same(
      eth0.addr_info.map(({ scope }: Json) => scope),
      ['link'],
    )
  })

  t.test(`[${flavour}] the host's end has the same name for every ADD, and says whose it is`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const names = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const result = await a.add(bridgeConf('v4'))
      const veth = (await linksOf(host)).get(hostVethOf(result))
      names.add(veth.ifname)
      t.match(veth.ifname, /^veth/)
      t.equal(veth.ifalias, 'cni net c1 eth0')
      t.equal(veth.group, 'default')
      t.equal((await a.call('DEL', bridgeConf('v4'))).code, 0)
    }
    t.equal(names.size, 1)
    const second = await a.add(bridgeConf('v4'), { ifName: 'eth1' })
    t.notOk(names.has(hostVethOf(second)), 'another interface has another name')
  })

  t.test(`[${flavour}] a host interface that has the veth's name already is left alone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, conf] = [await pod('c1'), bridgeConf('v4')]
    const usual = hostVethOf(await a.add(conf))
    await a.call('DEL', conf)
    await host.run('ip', 'link', 'add', usual, 'type', 'veth', 'peer', 'name', 'foreign')
    const result = await a.add(conf)
    t.not(hostVethOf(result), usual)
    t.equal((await a.call('CHECK', { ...conf, prevResult: result })).code, 0)
    t.equal((await a.call('DEL', conf, { netns: '' })).code, 0, 'DEL finds it without the namespace')
    t.same([...(await linksOf(host)).keys()].sort(), ['br0', 'foreign', 'lo', usual].sort())
  })

  t.test(`[${flavour}] MACs are set explicitly, so that udev leaves them alone`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const veth = hostVethOf(await a.add(bridgeConf('v4')))
    // /sys shows the namespace it was mounted in.
    const path = (name: string) => `/sys/class/net/${name}/addr_assign_type`
    const ofVeth = await host.sh(`unshare -m sh -c 'mount -t sysfs sysfs /sys && cat ${path(veth)}'`)
    t.equal(ofVeth.trim(), '3')
    t.equal((await a.run('cat', path('eth0'))).trim(), '3')
  })

  t.test(`[${flavour}] a reused address is reached at once under its new MAC`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const neighbour = await pod('neighbour')
    const conf = bridgeConf('dual', {
      isGateway: true,
      capabilities: { ips: true, mac: true },
      runtimeConfig: { ips: ['10.1.2.50', 'fd00:2::50'], mac: '02:00:00:00:00:01' },
    })
    await neighbour.add(bridgeConf('dual', { isGateway: true }))
    const reach = async (what: string) => {
      for (const address of ['10.1.2.50', 'fd00:2::50']) {
        t.ok(await neighbour.pings(address), `${what}: the neighbour to ${address}`)
        t.equal(
          (await host.exec(['ping', '-n', '-c1', '-W2', address])).code,
          0,
          `${what}: the host to ${address}`,
        )
      }
    }
    const first = await pod('c1')
    await first.add(conf)
    await reach('first')
    await first.call('DEL', conf)
    const second = await pod('c2')
    await second.add({ ...conf, runtimeConfig: { ...conf.runtimeConfig, mac: '02:00:00:00:00:02' } })
    // Each neighbour still has the old MAC in its cache; only an announcement after the port came up changes that.
    await reach('second')
  })

  t.test(`[${flavour}] without a MAC asked for, an address always has the same one`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('v4', { runtimeConfig: { ips: ['10.1.2.77'] } })
    const macs = []
    for (const name of ['c1', 'c2']) {
      const a = await pod(name)
      macs.push((await a.add(conf)).interfaces[2].mac)
      await a.call('DEL', conf)
    }
    t.same(macs, ['0a:58:0a:01:02:4d', '0a:58:0a:01:02:4d'])
  })

  t.test(`[${flavour}] a second ADD of a container fails and leaves it its network`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, conf] = [await pod('c1'), bridgeConf('v4', { isGateway: true })]
    const result = await a.add(conf)
    const before = await host.snapshot()
    const { code, json } = await a.call('ADD', conf)
    t.same([code, json.code], [1, 999])
    t.equal(json.msg, `container veth name ("eth0") peer provided ("${hostVethOf(result)}") already exists`)
    t.equal(await host.snapshot(), before)
    t.ok(await a.pings('10.1.2.1'))
    t.same(addressesOf(await a.link()), ['10.1.2.2/24'])
  })

  t.test(`[${flavour}] leftovers of a killed ADD do not stop the next one`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const [a, conf] = [await pod('c1'), layer2Conf()]
    const veth = hostVethOf(await a.add(conf))
    // As it is before the last step: in the group of the half-made ones, 0x6b6e.
    await host.run('ip', 'link', 'set', veth, 'group', '27502')
    const result = await a.add(conf)
    t.equal(hostVethOf(result), veth)
    t.equal((await a.call('CHECK', { ...conf, prevResult: result })).code, 0)
    t.equal((await linksOf(host)).size, 3)
  })

  if (flavour !== flavours[0]) continue
  t.test(`[${flavour}] host veths are called as vethPrefix says`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const usual = hostVethOf(await a.add(bridgeConf('v4')))
    await a.call('DEL', bridgeConf('v4'))
    const conf = bridgeConf('v4', { vethPrefix: 'pod-' })
    const result = await a.add(conf)
    t.equal(hostVethOf(result), usual.replace('veth', 'pod-'), 'the digits are the same')
    t.equal((await linksOf(host)).get(hostVethOf(result)).ifalias, 'cni net c1 eth0')
    t.equal((await a.call('CHECK', { ...conf, prevResult: result })).stdout, '')
    t.equal((await a.call('DEL', conf, { netns: '' })).stdout, '', 'DEL finds it without the namespace')
    t.same([...(await linksOf(host)).keys()], ['lo', 'br0'])

    await a.add(bridgeConf('v4'))
    t.equal((await a.call('DEL', conf, { netns: '' })).stdout, '', 'and one of before the key was set')
    t.same([...(await linksOf(host)).keys()], ['lo', 'br0'])

    for (const vethPrefix of ['eightltr', 'a b', 'a/b', 'ä']) {
      const refused = bridgeConf('v4', { vethPrefix })
      t.match((await a.call('ADD', refused)).json, {
        code: 7,
        msg: `"vethPrefix": no interface can be called "${vethPrefix}…"`,
      })
      t.equal((await a.call('DEL', refused)).stdout, '', 'DEL does not mind')
    }
  })
}
