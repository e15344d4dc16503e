/**
 * A host veth on which another program filters already, as agents with eBPF programs do: the limits hold beside its
 * filters, which stay, and work, before and after.
 */
import { existsSync } from 'node:fs'
import t from 'tap'
import { anyFlavour, binDir, type Json } from '../../fixtures/cni'
import { capabilities, configureNetworks, connectHost, jsonOf, runKubenet } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'
import { bothWays, ifbs, ShapedPod, trafficControl } from '../../plugins/bandwidth/fixtures/shaped-pod'
import { iperfServer, measure } from '../../plugins/bandwidth/fixtures/traffic'

const rate = 10_000_000
const limited = bothWays(rate, 1_000_000)

/** A program that drops ICMP (TC_ACT_SHOT, 2) and decides nothing on all else (TC_ACT_UNSPEC, -1). */
const dropsPings = '6,40 0 0 12,21 0 3 2048,48 0 0 23,21 0 1 1,6 0 0 2,6 0 0 4294967295'

const filterOf = (veth: string, parent: string): string =>
  `tc filter add dev ${veth} ${parent} protocol all prio 1 bpf da bytecode "${dropsPings}"`

/** What another program makes of a host veth: with a clsact, and with the older ingress qdisc. */
const places: Record<string, (veth: string) => string> = {
  clsact: veth =>
    `tc qdisc add dev ${veth} clsact; ${filterOf(veth, 'ingress')}; ${filterOf(veth, 'egress')}`,
  ingress: veth => `tc qdisc add dev ${veth} ingress; ${filterOf(veth, 'parent ffff:')}`,
}

/** Does the container reach the host? */
const pings = async ({ host, containerID }: ShapedPod, address: string): Promise<boolean> =>
  (await host.exec(['ip', 'netns', 'exec', containerID, 'ping', '-n', '-c1', '-W1', address])).code === 0

/** The redirects of what the host receives from the container, by their priorities. */
const redirects = async (pod: ShapedPod): Promise<number[]> =>
  (await pod.filters()).filter(({ kind }) => kind === 'u32').map(({ pref }) => pref)

const hasStrace = existsSync('/usr/bin/strace') ? {} : { skip: 'strace is not installed' }

for (const flavour of anyFlavour) {
  const ours = binDir(flavour)

  for (const [kind, script] of Object.entries(places)) {
    t.test(`[${flavour}] a host veth with a filter of another program in its ${kind}`, async t => {
      const host = await PrivateHost.create(t)
      const pod = await ShapedPod.create(host, 'c1')
      t.ok(await pings(pod, '10.9.0.1'))
      await host.sh(script(pod.veth))
      const before = await trafficControl(host)
      t.notOk(await pings(pod, '10.9.0.1'), 'the filter works')

      await t.test('is limited both ways, behind that filter', async t => {
        const { code, stdout, stderr } = await pod.call(ours, 'ADD', pod.conf(limited))
        t.equal(code, 0, stdout)
        t.match(
          stderr,
          `bandwidth: "${pod.veth}" has filters of other programs, which come first: packets that they decide on are ` +
            `not limited; see "tc filter show dev ${pod.veth} ingress"`,
        )
        t.same(await redirects(pod), [65535])
        t.equal((await pod.call(ours, 'CHECK', pod.conf(limited))).code, 0)
        t.notOk(await pings(pod, '10.9.0.1'), 'the filter still works')
        await iperfServer(t, pod)
        for (const direction of ['ingress', 'egress'] as const) {
          const percent = ((await measure(pod, 0, { direction })) / rate) * 100
          t.ok(percent > 80 && percent <= 105, `${direction}: ${percent.toFixed(1)} % of the rate`)
        }
      })

      await t.test('ADD again: one redirect, to the new ifb', async t => {
        t.equal((await pod.call(ours, 'ADD', pod.conf(limited))).code, 0)
        t.same(await redirects(pod), [65535])
        t.equal((await pod.call(ours, 'CHECK', pod.conf(limited))).code, 0)
      })

      await t.test('CHECK misses the redirect', async t => {
        await host.run('tc', 'filter', 'del', 'dev', pod.veth, 'ingress', 'prio', '65535')
        const { json } = await pod.call(ours, 'CHECK', pod.conf(limited))
        t.match(json, { msg: `bandwidth: egress of "${pod.veth}" is not redirected to its ifb` })
        t.equal((await pod.call(ours, 'ADD', pod.conf(limited))).code, 0)
      })

      await t.test('DEL takes the limits away and nothing else, also without the namespace', async t => {
        for (const options of [{}, { netns: '' }]) {
          t.equal((await pod.call(ours, 'ADD', pod.conf(limited))).code, 0)
          t.equal((await pod.call(ours, 'DEL', pod.conf(limited), options)).code, 0)
          t.equal(await trafficControl(host), before)
        }
        t.notOk(await pings(pod, '10.9.0.1'), 'the filter still works')
      })

      await t.test('GC the same', async t => {
        t.equal((await pod.call(ours, 'ADD', pod.conf(limited))).code, 0)
        const gc = { cniVersion: '1.1.0', name: 'net', type: 'bandwidth', 'cni.dev/valid-attachments': [] }
        t.equal((await pod.call(ours, 'GC', gc)).code, 0)
        t.equal(await trafficControl(host), before)
      })

      await t.test('a redirect whose ifb was deleted goes with DEL', async t => {
        const { json } = await pod.call(ours, 'ADD', pod.conf(limited))
        await host.run('ip', 'link', 'del', json.interfaces[2].name)
        t.equal((await pod.call(ours, 'DEL', pod.conf(limited))).code, 0)
        t.equal(await trafficControl(host), before)
      })

      await t.test('an ADD that fails undoes what it did', hasStrace, async t => {
        const strace = ['strace', '-f', '-o', '/dev/null', '-e', 'trace=sendto', '-e']
        let n = 4
        for (; n < 40; n += 3) {
          const { code } = await host.exec(
            [...strace, `inject=sendto:error=ENOBUFS:when=${n}`, `${ours}/bandwidth`],
            {
              stdin: JSON.stringify(pod.conf(limited)),
              env: {
                PATH: '/usr/bin:/bin',
                CNI_COMMAND: 'ADD',
                CNI_CONTAINERID: pod.containerID,
                CNI_NETNS: pod.netns,
                CNI_IFNAME: pod.ifName,
                CNI_PATH: ours,
              },
            },
          )
          if (code === 0) break
          t.equal(await trafficControl(host), before, `request ${n}`)
        }
        t.ok(n > 10 && n < 40, `${n} requests`)
        t.equal((await pod.call(ours, 'DEL', pod.conf(limited))).code, 0)
        t.equal(await trafficControl(host), before)
      })
    })
  }

  t.test(`[${flavour}] a redirect of everything is nothing to share: ADD says so`, async t => {
    const host = await PrivateHost.create(t)
    const pod = await ShapedPod.create(host, 'c1')
    await host.sh(`
      ip link add ifb7 type ifb; ip link set ifb7 up; tc qdisc add dev ${pod.veth} clsact
      tc filter add dev ${pod.veth} ingress protocol all prio 1 u32 match u32 0 0 \
        action mirred egress redirect dev ifb7
    `)
    const before = await trafficControl(host)
    const { json } = await pod.call(ours, 'ADD', pod.conf(limited))
    t.match(json, {
      code: 999,
      msg: `redirect packets from "${pod.veth}": another redirect takes all of them`,
      details: `see "tc filter show dev ${pod.veth} ingress": another program redirects all packets; the egress limit excludes this`,
    })
    t.equal(await trafficControl(host), before)
    t.equal((await pod.call(ours, 'DEL', pod.conf(limited))).code, 0)
    t.equal(await trafficControl(host), before)
    t.same(await ifbs(host), ['ifb7'])
  })

  t.test(`[${flavour}] inspect, why and sync read the limits there`, async t => {
    const host = await PrivateHost.create(t)
    await connectHost(host)
    await configureNetworks(host, flavour)
    await host.netns('api')
    const add = ['add', 'pods', '/run/netns/api', '--container-id', 'api']
    const { code, stderr } = await runKubenet(host, flavour, add, { env: capabilities(9090) })
    t.equal(code, 0, stderr)
    const inspect = async (): Promise<Json> =>
      jsonOf(await runKubenet(host, flavour, ['inspect', '--json'])).containers[0]
    const { veth, limits } = await inspect()
    await host.sh(`tc qdisc del dev ${veth.name} ingress; ${places.clsact?.(veth.name)}`)
    t.equal((await inspect()).limits.egressBits, null)
    const sync = await runKubenet(host, flavour, ['sync'])
    t.equal(sync.code, 0, sync.stderr)
    t.same((await inspect()).limits, limits)
    t.match(
      (await runKubenet(host, flavour, ['why', '10.66.0.2'])).stdout,
      /20Mbit\/s out of it, by tbf on bwp/,
    )
    t.match((await runKubenet(host, flavour, ['sync', '--json'])).stdout, /"changes": \[\]/)
    const { code: deleted } = await runKubenet(host, flavour, ['del', ...add.slice(1)], {
      env: capabilities(9090),
    })
    t.equal(deleted, 0)
    t.same(await ifbs(host), [])
  })
}
