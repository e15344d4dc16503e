import { existsSync } from 'node:fs'
import t from 'tap'
import { anyFlavour, binDir, flavours, type Json, peerDir } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'
import { bothWays, ifbs, ShapedPod, trafficControl } from '../../plugins/bandwidth/fixtures/shaped-pod'

const hasPeer = existsSync(`${peerDir}/bandwidth`) ? {} : { skip: 'the Go plugins are not installed' }
const limited = bothWays(8_000_000, 80_000)

const gcConf = (name: string, valid: [containerID: string, ifname: string][], more: Json = {}) => ({
  cniVersion: '1.1.0',
  name,
  type: 'bandwidth',
  'cni.dev/valid-attachments': valid.map(([containerID, ifname]) => ({ containerID, ifname })),
  ...more,
})

for (const flavour of anyFlavour) {
  const ours = binDir(flavour)

  t.test(`[${flavour}] two interfaces of one container on one network`, async t => {
    const host = await PrivateHost.create(t)
    const eth0 = await ShapedPod.create(host, 'c1')
    const eth1 = await ShapedPod.create(host, 'c1', { ifName: 'eth1', subnet: 1 })
    const before = await trafficControl(host)
    const check = async (pod: ShapedPod) => (await pod.call(ours, 'CHECK', pod.conf(limited))).code

    await t.test('both are shaped, each through an ifb of its own, which DEL finds', async t => {
      for (const [first, second] of [
        [eth0, eth1],
        [eth1, eth0],
      ] as const) {
        const one = await first.call(ours, 'ADD', first.conf(limited))
        const two = await second.call(ours, 'ADD', second.conf(limited))
        t.same([one.code, two.code], [0, 0])
        t.same(await ifbs(host), [one.json.interfaces[2].name, two.json.interfaces[2].name])
        t.same([await check(first), await check(second)], [0, 0])
        t.equal((await first.call(ours, 'DEL', first.conf(limited))).code, 0)
        t.same(await ifbs(host), [two.json.interfaces[2].name])
        t.same([await check(first), await check(second)], [1, 0])
        t.equal((await second.call(ours, 'DEL', second.conf(limited), { netns: '' })).code, 0)
        t.equal(await trafficControl(host), before)
      }
    })

    await t.test('a second one beside an ifb the Go plugin made', hasPeer, async t => {
      t.equal((await eth0.call(peerDir, 'ADD', eth0.conf(limited))).code, 0)
      t.equal((await eth1.call(ours, 'ADD', eth1.conf(limited))).code, 0)
      t.same([await check(eth0), await check(eth1)], [0, 0])
      t.equal((await eth1.call(ours, 'DEL', eth1.conf(limited))).code, 0)
      t.equal(await check(eth0), 0, 'DEL of the second leaves the first alone')
      t.equal((await eth1.call(ours, 'DEL', eth1.conf(limited))).code, 0)
      t.equal(await check(eth0), 0, 'even when done twice')
      t.equal((await eth0.call(ours, 'DEL', eth0.conf(limited))).code, 0)
      t.equal(await trafficControl(host), before)
    })

    await t.test(
      'without a namespace, an ifb of the Go plugin goes only with the veth that uses it',
      hasPeer,
      async t => {
        const gone = { netns: '' }
        const bare = { cniVersion: '1.0.0', name: 'net', type: 'bandwidth', ...limited }
        const add = async () => {
          await eth0.call(peerDir, 'ADD', eth0.conf(limited))
          return ifbs(host)
        }
        const own = await add()
        for (const conf of [eth1.conf(limited), bare]) {
          const { code, stderr } = await eth1.call(ours, 'DEL', conf, gone)
          t.equal(code, 0)
          t.match(stderr, /ifb "bwp\w+" is kept: "v-c1-eth0" uses it/)
          t.same(await ifbs(host), own)
          t.equal(await check(eth0), 0, 'DEL of the second leaves the first its limits')
        }
        t.equal((await eth0.call(ours, 'DEL', bare, gone)).code, 0)
        t.same(await ifbs(host), own, 'nothing tells that it is its own')
        t.equal((await eth0.call(ours, 'DEL', eth0.conf(limited), gone)).code, 0)
        t.equal(await trafficControl(host), before, 'the result of ADD names its veth')
        await add()
        await host.run('ip', 'link', 'set', eth0.veth, 'alias', 'cni net c1 eth0')
        t.equal((await eth1.call(ours, 'DEL', eth0.conf(limited), gone)).code, 0)
        t.same(await ifbs(host), own, 'the alias counts more than a result')
        t.equal((await eth0.call(ours, 'DEL', bare, gone)).code, 0)
        await host.run('ip', 'link', 'set', eth0.veth, 'alias', '')
        t.equal(await trafficControl(host), before, 'the alias says that it is its own')
      },
    )

    await t.test(
      'where the namespace cannot be opened, limits of the Go plugin go by the alias',
      hasPeer,
      async t => {
        await host.sh('ln -sf loop /run/netns/loop')
        const loop = { netns: '/run/netns/loop' }
        const ingress = { ingressRate: 8e6, ingressBurst: 8e5 }
        await eth0.call(peerDir, 'ADD', eth0.conf(ingress))
        const limits = await trafficControl(host)
        const { code, stderr } = await eth0.call(ours, 'DEL', eth0.conf(ingress), loop)
        t.equal(code, 0)
        t.match(stderr, /limits on the host's end of "eth0" may stay until it is deleted: .*ELOOP/)
        t.equal(await trafficControl(host), limits)
        await host.run('ip', 'link', 'set', eth0.veth, 'alias', 'cni net c1 eth0')
        t.equal((await eth0.call(ours, 'DEL', eth0.conf(ingress), loop)).code, 0)
        await host.run('ip', 'link', 'set', eth0.veth, 'alias', '')
        t.equal(await trafficControl(host), before)
      },
    )

    await t.test('an ifb of the reference that nothing leads to is no other interface’s', async t => {
      const { json } = await eth0.call(ours, 'ADD', eth0.conf(limited))
      await eth0.call(ours, 'DEL', eth0.conf(limited))
      await host.run('ip', 'link', 'add', json.interfaces[2].name, 'type', 'ifb')
      const again = await eth0.call(ours, 'ADD', eth0.conf(limited))
      t.same(again.json, json, 'the same name')
      t.same(await ifbs(host), [json.interfaces[2].name])
      await eth0.call(ours, 'DEL', eth0.conf(limited))
      t.equal(await trafficControl(host), before)
    })

    await t.test('names that are taken by other interfaces are left alone', async t => {
      const { json } = await eth0.call(ours, 'ADD', eth0.conf(limited))
      const [name] = await ifbs(host)
      await eth0.call(ours, 'DEL', eth0.conf(limited))
      await host.run('ip', 'link', 'add', name ?? '', 'type', 'bridge')
      const again = await eth0.call(ours, 'ADD', eth0.conf(limited))
      t.equal(again.code, 0)
      t.not(again.json.interfaces[2].name, json.interfaces[2].name)
      await eth0.call(ours, 'DEL', eth0.conf(limited))
      await host.run('ip', 'link', 'add', again.json.interfaces[2].name, 'type', 'bridge')
      const taken = await trafficControl(host)
      const refused = await eth0.call(ours, 'ADD', eth0.conf(limited))
      t.match(refused.json, { code: 999, msg: 'create an ifb for "eth0": EEXIST' })
      t.equal((await eth0.call(ours, 'DEL', eth0.conf(limited))).code, 0)
      t.equal(await trafficControl(host), taken)
    })
  })
}

for (const flavour of flavours) {
  const ours = binDir(flavour)

  t.test(`[${flavour}] GC`, async t => {
    const host = await PrivateHost.create(t)
    const [alive, stale, gone] = [
      await ShapedPod.create(host, 'alive'),
      await ShapedPod.create(host, 'stale', { subnet: 1 }),
      await ShapedPod.create(host, 'gone', { subnet: 2 }),
    ]
    const before = await trafficControl(host)
    const gc = (conf: Json) => alive.call(ours, 'GC', conf)
    const addAll = async () => {
      const names: string[] = []
      for (const pod of [alive, stale]) {
        const { json } = await pod.call(ours, 'ADD', pod.conf(limited))
        names.push(json.interfaces[2].name)
      }
      return names
    }

    await t.test('removes what no valid attachment has, ifb and redirect, and nothing else', async t => {
      const [kept] = await addAll()
      const elsewhere = await gone.call(ours, 'ADD', gone.conf(limited, { name: 'net2' }))
      t.equal((await gc(gcConf('net', [['alive', 'eth0']]))).code, 0)
      t.same(await ifbs(host), [kept, elsewhere.json.interfaces[2].name])
      t.equal((await alive.call(ours, 'CHECK', alive.conf(limited))).code, 0)
      t.same(await stale.qdiscs(), [])
      await host.run('ping', '-c', '1', '-W', '2', '10.9.1.2')
      t.equal((await gc(gcConf('net2', []))).code, 0)
      t.equal((await gc(gcConf('net', [['alive', 'eth1']]))).code, 0)
      t.equal(await trafficControl(host), before)
    })

    await t.test('goes by the older key, too; with neither, code 7 and nothing is removed', async t => {
      const names = await addAll()
      const { json } = await gc(gcConf('net', [], { 'cni.dev/valid-attachments': undefined }))
      t.match(json, { code: 7 })
      t.same(await ifbs(host), names)
      const older = { 'cni.dev/valid-attachments': undefined, 'cni.dev/attachments': [] }
      t.equal((await gc(gcConf('net', [], older))).code, 0)
      t.equal(await trafficControl(host), before)
      t.match((await gc(gcConf('net', [], { cniVersion: '1.0.0' }))).json, { code: 1 })
    })

    await t.test(
      'an ifb without an owner is removed if nothing leads to it and no attachment may need it',
      async t => {
        const { json } = await alive.call(ours, 'ADD', alive.conf(limited))
        const reference = json.interfaces[2].name
        await alive.call(ours, 'DEL', alive.conf(limited))
        await host.sh(`
        ip link add ${reference} type ifb
        ip link add bwp0123456789ab type ifb; ip link add bwp0123456789ac type ifb; ip link add ifb7 type ifb
        ip link set bwp0123456789ac group 1234567
        ip link add bwp0123456789ad type ifb; tc qdisc add dev ${stale.veth} ingress
        tc filter add dev ${stale.veth} parent ffff: protocol all prio 1 u32 match u32 0 0 \
          action mirred egress redirect dev bwp0123456789ad
      `)
        t.equal((await gc(gcConf('net', [['alive', 'eth0']]))).code, 0)
        t.same(await ifbs(host), [reference, 'ifb7', 'bwp0123456789ad'])
        await host.sh(`tc qdisc del dev ${stale.veth} ingress`)
        t.equal((await gc(gcConf('net', []))).code, 0)
        t.same(await ifbs(host), ['ifb7'])
        await host.run('ip', 'link', 'del', 'ifb7')
      },
    )

    await t.test('objects of the Go plugin for a container that is gone', hasPeer, async t => {
      await alive.call(peerDir, 'ADD', alive.conf(limited))
      await gone.call(peerDir, 'ADD', gone.conf(limited))
      await host.sh(`ip link del ${gone.veth}`)
      t.equal((await gc(gcConf('net', [['alive', 'eth0']]))).code, 0)
      t.equal((await ifbs(host)).length, 1)
      t.equal((await alive.call(ours, 'CHECK', alive.conf(limited))).code, 0)
      t.equal((await gc(gcConf('other', []))).code, 0)
      t.equal((await alive.call(ours, 'CHECK', alive.conf(limited))).code, 0, 'it is in use')
      t.equal((await alive.call(ours, 'DEL', alive.conf(limited))).code, 0)
      t.same(await ifbs(host), [])
    })
  })
}
