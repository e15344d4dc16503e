import t from 'tap'
import { addressesOf, bridgeConf, hostVethOf, hostWithPods, layer2Conf, linksOf } from '../../fixtures/bridge'
import { anyFlavour } from '../../fixtures/cni'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] a bridge that is there is taken as it is`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(
      'ip link add br0 address 02:00:00:00:00:77 mtu 1400 type bridge stp_state 1 forward_delay 0',
    )
    await host.sh(
      'ip link set br0 up; ip addr add 10.1.2.1/24 dev br0; sysctl -qw net.ipv6.conf.br0.accept_ra=1',
    )
    const before = (await linksOf(host)).get('br0')
    await (await pod('c1')).add(bridgeConf('v4', { isGateway: true }))
    const after = (await linksOf(host)).get('br0')
    t.same(
      [after.ifindex, after.address, after.linkinfo.info_data.stp_state],
      [before.ifindex, '02:00:00:00:00:77', 1],
    )
    t.same(addressesOf(after), ['10.1.2.1/24'])
    t.equal((await host.run('sysctl', '-n', 'net.ipv6.conf.br0.accept_ra')).trim(), '1')
  })

  t.test(`[${flavour}] one that is down comes up`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh('ip link add br0 type bridge')
    await (await pod('c1')).add(layer2Conf())
    // Not its operational state, which the kernel renews up to a second later.
    t.ok((await linksOf(host)).get('br0').flags.includes('UP'))
  })

  const makers = {
    'made by the plugin': 'true',
    'made by `ip link add`': 'ip link add br0 type bridge',
    'made by `ip link add` and up': 'ip link add br0 type bridge; ip link set br0 up',
  }
  for (const [how, script] of Object.entries(makers)) {
    for (const layer of [2, 3]) {
      t.test(`[${flavour}] the MAC of a layer ${layer} bridge ${how} never changes`, async t => {
        const { host, pod } = await hostWithPods(t, flavour)
        const conf = layer === 2 ? layer2Conf() : bridgeConf('v4', { isGateway: true })
        await host.sh(script)
        const macs = new Set<string>()
        const found = (await linksOf(host)).get('br0')
        if (found) macs.add(found.address)
        const rounds = flavour === 'standalone' && !script.includes('up') ? 4 : 1
        for (let i = 0; i < rounds; i++) {
          // Three at a time, the first of them leaving first: the lowest MAC comes and goes.
          const pods = await Promise.all([0, 1, 2].map(n => pod(`c${i}-${n}`)))
          for (const a of pods) {
            const { interfaces } = await a.add(conf)
            macs.add(interfaces[0].mac).add((await linksOf(host)).get('br0').address)
            t.not(interfaces[0].mac, interfaces[1].mac)
          }
          for (const a of pods) {
            await a.call('DEL', conf)
            macs.add((await linksOf(host)).get('br0').address)
          }
        }
        t.equal(macs.size, 1, [...macs].join(', '))
      })
    }
  }

  t.test(`[${flavour}] a port of another program decides about the bridge's MAC as before`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    await host.sh(
      'ip link add br0 type bridge; ip link add up0 address 02:00:00:00:00:10 type veth peer name up1; ' +
        'ip link set up0 master br0 up; ip link set up1 up; ip link set br0 up',
    )
    const mac = async () => (await linksOf(host)).get('br0').address
    t.equal(await mac(), '02:00:00:00:00:10')
    const a = await pod('c1')
    const result = await a.add(layer2Conf())
    t.match((await linksOf(host)).get(hostVethOf(result)).address, /^fe:/)
    t.equal(await mac(), '02:00:00:00:00:10')
    await a.call('DEL', layer2Conf())
    t.equal(await mac(), '02:00:00:00:00:10')
  })

  t.test(`[${flavour}] an interface of the bridge's name that is none`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('v4', { cniVersion: '1.1.0', isGateway: true, prune: true })
    const [a, late] = [await pod('c1'), await pod('c2')]
    const prevResult = await a.add(conf)
    const veth = hostVethOf(prevResult)
    // Another program deleted the bridge, and gave its name to another device.
    await host.sh('ip link del br0; ip link add br0 type veth peer name br1')
    const names = async () => [...(await linksOf(host)).keys()].sort()
    const before = await host.snapshot()

    await t.test('is refused by ADD', async t => {
      const { code, json } = await late.call('ADD', conf)
      t.equal(code, 1)
      t.match(json, { code: 7, msg: '"br0" already exists but is not a bridge' })
      t.match(json.details, /it is a veth; choose another "bridge"/)
      t.equal(await host.snapshot(), before)
    })

    await t.test('is what CHECK finds in the place of the bridge', async t => {
      const { code, json } = await a.call('CHECK', { ...conf, prevResult })
      t.equal(code, 1)
      t.match(json, { code: 999, msg: 'Interface br0 does not have link type of bridge' })
      t.equal(await host.snapshot(), before)
    })

    await t.test('keeps GC from nothing, and stays', async t => {
      const valid = [{ containerID: 'c1', ifname: 'eth0' }]
      t.same((await a.call('GC', { ...conf, 'cni.dev/valid-attachments': valid })).stdout, '')
      t.equal(await host.snapshot(), before, 'what is valid stays')
      t.same((await a.call('GC', { ...conf, 'cni.dev/valid-attachments': [] })).stdout, '')
      t.same(await names(), ['br0', 'br1', 'lo'], `"${veth}" is gone`)
      t.equal((await host.sh('ls /var/lib/cni/networks/net | grep ^10 || true')).trim(), '')
    })

    await t.test('keeps DEL from nothing, and stays', async t => {
      await host.sh('ip link del br0')
      await a.add(conf)
      await host.sh('ip link del br0; ip link add br0 type veth peer name br1')
      for (const time of ['first', 'second']) {
        const { code, stdout } = await a.call('DEL', conf)
        t.same([code, stdout], [0, ''], time)
      }
      t.same(await names(), ['br0', 'br1', 'lo'])
      t.equal((await host.sh('ls /var/lib/cni/networks/net | grep ^10 || true')).trim(), '')
    })
  })
}
