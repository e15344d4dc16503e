import { existsSync } from 'node:fs'
import t from 'tap'
import { anyFlavour, binDir, flavours, type Json, peerDir } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'
import { bothWays, ifbs, ShapedPod, trafficControl } from '../../plugins/bandwidth/fixtures/shaped-pod'

const hasPeer = existsSync(`${peerDir}/bandwidth`) ? {} : { skip: 'the Go plugins are not installed' }

/** Limits for which both implementations are right, up to beyond 2^32 bytes a second. */
const limits: [rate: number, burst: number][] = [
  [8, 8],
  [8000, 80],
  [98_765, 9_876],
  [1_000_000, 160_000],
  [1_000_000_000, 800_000],
  [80_000_000_000, 8_000_000],
]

/** "None given", in the words of Kubernetes' runtimes. */
const unsetBursts = [4_294_967_295, 2_147_483_647]

for (const flavour of anyFlavour) {
  const ours = binDir(flavour)

  t.test(`[${flavour}] the objects in the kernel`, hasPeer, async t => {
    const host = await PrivateHost.create(t)
    const pod = await ShapedPod.create(host, 'c1')
    const shape = async (folder: string, conf: Json) => {
      const { json, code } = await pod.call(folder, 'ADD', conf)
      t.equal(code, 0, JSON.stringify(json))
      const ifb = json.interfaces[2].name
      const [filter, ...more] = await pod.filters()
      t.same(more, [], 'one filter')
      const [link] = await host.json<Json[]>('ip', '-d', 'link', 'show', ifb)
      const shown = {
        ifb,
        veth: await pod.qdiscs(),
        ifbQdiscs: await pod.qdiscs(ifb),
        match: filter.options.match,
        flowid: filter.options.flowid,
        order: [filter.protocol, filter.pref],
        // The reference has a second action behind the first, which takes the packet.
        action: { ...filter.options.actions[0], index: 0 },
        link: [link.mtu, link.flags, link.qdisc, link.txqlen, link.group, link.num_tx_queues],
      }
      t.equal((await pod.call(ours, 'DEL', conf)).code, 0)
      return shown
    }
    for (const [rate, burst] of limits) {
      await t.test(`${rate} bit/s and ${burst} bits: the same as from the Go plugin`, async t => {
        const conf = pod.conf(bothWays(rate, burst))
        t.same(await shape(ours, conf), await shape(peerDir, conf))
      })
    }
    await t.test('80 bits at 8000 bit/s: rate 1000, ten bytes, 25 ms', async t => {
      const { veth, ifbQdiscs, action } = await shape(ours, pod.conf(bothWays(8000, 80)))
      const tbf = { kind: 'tbf', handle: '1:', root: true, options: { rate: 1000, burst: 10, lat: 25_000 } }
      t.match(veth, [tbf, { kind: 'ingress', handle: 'ffff:' }])
      t.match(ifbQdiscs, [tbf])
      t.match(action, { kind: 'mirred', mirred_action: 'redirect', direction: 'egress' })
    })
    await t.test('the ifb has the MTU of the pair', async t => {
      const jumbo = await ShapedPod.create(host, 'jumbo', { subnet: 1, mtu: 9000 })
      const { json } = await jumbo.call(ours, 'ADD', jumbo.conf(bothWays(8000, 80)))
      t.match(await host.json('ip', 'link', 'show', json.interfaces[2].name), [{ mtu: 9000 }])
    })
  })

  t.test(`[${flavour}] one plugin's ADD, the other's CHECK and DEL`, hasPeer, async t => {
    const host = await PrivateHost.create(t)
    const pod = await ShapedPod.create(host, 'c1')
    const before = await trafficControl(host)
    const unset = [8000, 10_000_000].flatMap(rate =>
      unsetBursts.map((burst): [number, number] => [rate, burst]),
    )
    // The kernel objects are the same, as above; here CHECK of each plugin compares them.
    for (const [rate, burst] of [...limits.slice(-2), ...unset]) {
      await t.test(`${rate} bit/s and ${burst} bits`, async t => {
        const conf = pod.conf(bothWays(rate, burst))
        for (const [adder, other] of [
          [ours, peerDir],
          [peerDir, ours],
        ] as const) {
          const added = await pod.call(adder, 'ADD', conf)
          t.equal(added.code, 0, added.stdout)
          const later = { ...conf, prevResult: added.json }
          for (const folder of [ours, peerDir]) {
            const { code, stdout } = await pod.call(folder, 'CHECK', later)
            t.same([code, stdout], [0, ''], `${adder} ADD, ${folder} CHECK`)
          }
          t.equal((await pod.call(other, 'DEL', later)).code, 0)
          t.same(await ifbs(host), [])
          await host
            .sh(`tc qdisc del dev ${pod.veth} root; tc qdisc del dev ${pod.veth} ingress; true`)
            .catch(
              () => {}, // ours leaves nothing to delete
            )
          t.equal(await trafficControl(host), before)
        }
      })
    }
  })
}

for (const flavour of flavours) {
  const ours = binDir(flavour)

  t.test(`[${flavour}] bandwidth`, async t => {
    const host = await PrivateHost.create(t)
    const pod = await ShapedPod.create(host, 'c1')
    const before = await trafficControl(host)
    const limited = bothWays(8_000_000, 80_000)
    const clean = async () => {
      await pod.call(ours, 'DEL', pod.conf({}))
      t.equal(await trafficControl(host), before, 'nothing is left')
    }

    const versions = flavour === 'node' ? ['1.0.0'] : ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
    for (const cniVersion of versions) {
      await t.test(`[${cniVersion}] ADD answers prevResult and the ifb`, async t => {
        const ip = {
          ...(cniVersion < '1.0.0' && { version: '4' }),
          interface: 1,
          address: '10.9.0.2/24',
          gateway: '10.9.0.1',
        }
        const prevResult = {
          cniVersion,
          interfaces: [
            { name: pod.veth, mac: '02:00:00:00:00:01' },
            { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: pod.netns },
          ],
          ips: [ip],
          routes: [{ dst: '0.0.0.0/0', gw: '10.9.0.1' }],
          dns: { nameservers: ['10.9.0.1'] },
        }
        const conf = pod.conf(limited, { cniVersion, prevResult })
        const { json } = await pod.call(ours, 'ADD', conf)
        const [link] = await host.json<Json[]>('ip', 'link', 'show', 'type', 'ifb')
        t.same(json, {
          ...prevResult,
          interfaces: [...prevResult.interfaces, { name: link.ifname, mac: link.address }],
        })
        if (cniVersion >= '0.4.0') t.equal((await pod.call(ours, 'CHECK', conf)).code, 0)
        t.equal((await pod.call(ours, 'DEL', conf)).code, 0)
        await clean()
      })
    }

    await t.test('versions before 0.3.0 are refused with code 1', async t => {
      for (const cniVersion of ['0.1.0', '0.2.0']) {
        t.match(
          (await pod.call(ours, 'ADD', pod.conf(limited, { cniVersion }))).json,
          { code: 1 },
          cniVersion,
        )
      }
      const { json } = await pod.call(ours, 'VERSION', '')
      t.same(json.supportedVersions, ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])
    })

    await t.test('ingress alone needs no ifb, egress alone no tbf on the pair', async t => {
      const ingress = await pod.call(ours, 'ADD', pod.conf({ ingressRate: 8000, ingressBurst: 80 }))
      t.equal(ingress.json.interfaces.length, 2)
      t.same(await ifbs(host), [])
      t.same(
        (await pod.qdiscs()).map(({ kind }) => kind),
        ['tbf'],
      )
      await clean()
      const egress = await pod.call(ours, 'ADD', pod.conf({ egressRate: 8000, egressBurst: 80 }))
      t.equal(egress.json.interfaces.length, 3)
      t.same(
        (await pod.qdiscs()).map(({ kind }) => kind),
        ['ingress'],
      )
      await clean()
    })

    await t.test('without limits, prevResult is answered as it came and nothing is done', async t => {
      for (const none of [{}, { runtimeConfig: { bandwidth: bothWays(0, 0) } }, bothWays(0, 0)]) {
        const conf = pod.conf({}, none)
        t.same((await pod.call(ours, 'ADD', conf)).json, conf.prevResult)
        t.equal((await pod.call(ours, 'CHECK', conf)).code, 0)
        t.equal(await trafficControl(host), before)
      }
    })

    await t.test('runtimeConfig in containerd’s case', async t => {
      const bandwidth = { IngressRate: 8000, IngressBurst: 80, EgressRate: 0, EgressBurst: 0 }
      const { code } = await pod.call(ours, 'ADD', pod.conf({}, { RuntimeConfig: { bandWidth: bandwidth } }))
      t.equal(code, 0)
      t.match(await pod.qdiscs(), [{ kind: 'tbf', options: { rate: 1000, burst: 10 } }])
      await clean()
    })

    await t.test('CHECK sees each thing that is missing or changed', async t => {
      const conf = pod.conf(limited)
      const spoil: [script: (ifb: string) => string, message: RegExp][] = [
        [() => `tc qdisc del dev ${pod.veth} root`, /^bandwidth: ingress shaping on "v-c1-eth0" is missing/],
        [ifb => `tc qdisc del dev ${ifb} root`, /^bandwidth: egress shaping on "bwp\w+" is missing/],
        [() => `tc qdisc del dev ${pod.veth} ingress`, /egress of "v-c1-eth0" is not redirected to its ifb/],
        [() => `tc filter del dev ${pod.veth} ingress`, /egress of "v-c1-eth0" is not redirected to its ifb/],
        [ifb => `ip link del ${ifb}`, /^bandwidth: egress shaping of "v-c1-eth0" is missing/],
        [
          () => `tc qdisc replace dev ${pod.veth} root handle 1: tbf rate 9mbit burst 10000 limit 35000`,
          /^bandwidth: ingress shaping on "v-c1-eth0" is not as configured/,
        ],
        [
          ifb => `tc qdisc replace dev ${ifb} root handle 1: tbf rate 8mbit burst 20000 limit 35000`,
          /^bandwidth: egress shaping on "bwp\w+" is not as configured/,
        ],
        [
          ifb => `tc qdisc replace dev ${ifb} root handle 1: tbf rate 8mbit burst 10000 limit 70000`,
          /^bandwidth: egress shaping on "bwp\w+" is not as configured/,
        ],
        [
          ifb => `tc qdisc del dev ${ifb} root; tc qdisc add dev ${ifb} root handle 1: htb`,
          /^bandwidth: egress shaping on "bwp\w+" is missing/,
        ],
      ]
      for (const [script, message] of spoil) {
        const { json } = await pod.call(ours, 'ADD', conf)
        await host.sh(script(json.interfaces[2].name))
        const { code, json: error } = await pod.call(ours, 'CHECK', conf)
        t.equal(code, 1)
        t.match(error, { code: 999, msg: message }, script('IFB'))
        await clean()
      }
    })

    await t.test('DEL leaves a pair that lives on with traffic, and is done twice', async t => {
      const conf = pod.conf(limited)
      await pod.call(ours, 'ADD', conf)
      for (const time of ['first', 'second']) {
        const { code, stdout } = await pod.call(ours, 'DEL', conf)
        t.same([code, stdout], [0, ''], time)
        t.equal(await trafficControl(host), before)
      }
      await host.run('ping', '-c', '1', '-W', '2', '10.9.0.2')
    })

    await t.test('DEL does without the namespace, without prevResult, and without the pair', async t => {
      const bare = { cniVersion: '1.0.0', name: 'net', type: 'bandwidth' }
      for (const netns of ['', '/run/netns/gone', pod.netns]) {
        await pod.call(ours, 'ADD', pod.conf(limited))
        t.equal((await pod.call(ours, 'DEL', bare, { netns })).code, 0, netns)
        t.equal(await trafficControl(host), before, netns)
        await host.run('ping', '-c', '1', '-W', '2', '10.9.0.2')
      }
      const other = await ShapedPod.create(host, 'brief', { subnet: 1 })
      await other.call(ours, 'ADD', other.conf(limited))
      await host.run('ip', 'netns', 'del', other.containerID)
      for (let i = 0; i < 100 && (await host.exec(['ip', 'link', 'show', other.veth])).code === 0; i++) {
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      t.equal((await other.call(ours, 'DEL', bare)).code, 0)
      t.equal(await trafficControl(host), before)
    })

    await t.test('another ADD of the same interface replaces the limits', async t => {
      await pod.call(ours, 'ADD', pod.conf(limited))
      const conf = pod.conf(bothWays(16_000_000, 80_000))
      t.equal((await pod.call(ours, 'ADD', conf)).code, 0)
      t.equal((await pod.call(ours, 'CHECK', conf)).code, 0)
      t.equal((await ifbs(host)).length, 1)
      await clean()
    })
  })
}
