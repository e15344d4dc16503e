import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { anyFlavour, binDir, type Json } from '../../fixtures/cni'
import { isSoak } from '../../fixtures/extent'
import { PrivateHost } from '../../fixtures/private-host'
import {
  bothWays,
  ifbs,
  type Limits,
  ShapedPod,
  trafficControl,
} from '../../plugins/bandwidth/fixtures/shaped-pod'

const limited = bothWays(8_000_000, 80_000)
const unset = bothWays(8_000_000, 4_294_967_295)

/** What ADD, CHECK and DEL refuse with code 7, and the text. */
const refused: [limits: Limits, msg: string | RegExp][] = [
  [{ ingressRate: 8000 }, 'if rate is set, burst must also be set'],
  [{ egressRate: 8000, egressBurst: 0 }, 'if rate is set, burst must also be set'],
  [{ ingressRate: 0, ingressBurst: 123 }, 'if burst is set, rate must also be set'],
  [{ ...limited, egressBurst: 34_359_738_360 }, 'burst cannot be more than 4GB'],
  [{ ...limited, ingressRate: -1 }, /ingressRate/],
  [{ ...limited, ingressBurst: '80000' }, /ingressBurst/],
  [{ ...limited, egressRate: 1.5 }, /egressRate/],
  [{ ...limited, egressRate: {} }, /egressRate/],
]

for (const flavour of anyFlavour) {
  const ours = binDir(flavour)

  t.test(`[${flavour}] configurations that bandwidth refuses`, async t => {
    const host = await PrivateHost.create(t)
    const pod = await ShapedPod.create(host, 'c1')
    const before = await trafficControl(host)

    for (const [i, [limits, msg]] of refused.entries()) {
      await t.test(`code 7: ${JSON.stringify(limits)}`, async t => {
        // What reads the limits does so for all verbs.
        for (const command of i === 0 ? ['ADD', 'CHECK', 'DEL'] : ['ADD']) {
          const { code, json } = await pod.call(ours, command, pod.conf(limits))
          t.equal(code, 1)
          t.match(json, { code: 7, msg }, command)
          t.equal(json.details, undefined)
        }
      })
    }

    await t.test('with any runtimeConfig', async t => {
      const both = pod.conf({ ingressRate: 8000 }, { runtimeConfig: { bandwidth: limited } })
      const { json } = await pod.call(ours, 'ADD', both)
      t.match(json, { code: 7, msg: 'if rate is set, burst must also be set' })
    })

    await t.test('JSON that has no such number', async t => {
      const text = JSON.stringify(pod.conf(limited))
      const nan = await pod.call(ours, 'ADD', text.replace('8000000', 'NaN'))
      t.match(nan.json, { code: 6 })
      const small = await pod.call(ours, 'ADD', pod.conf(bothWays(7, 80)))
      t.match(small.json, { code: 7, msg: /less than one byte/ })
    })

    await t.test('a call that is not chained', async t => {
      for (const command of ['ADD', 'CHECK']) {
        const { json } = await pod.call(ours, command, pod.conf(limited, { prevResult: undefined }))
        t.match(json, { code: 7, msg: 'must be called as chained plugin' }, command)
        t.equal(json.details, undefined)
      }
      const { json } = await pod.call(ours, 'ADD', pod.conf(limited, { prevResult: 'x' }))
      t.match(json, { code: 6 })
    })

    await t.test('a namespace that is gone: not code 3, as there is something to clean up', async t => {
      for (const command of ['ADD', 'CHECK']) {
        const { json } = await pod.call(ours, command, pod.conf(limited), { netns: '/run/netns/gone' })
        t.match(json, { code: 8, msg: 'failed to open netns "/run/netns/gone": it does not exist' }, command)
      }
    })

    await t.test('a container without a host end in prevResult: code 7', async t => {
      const add = async (interfaces: Json[], ifName = 'eth0') => {
        const prevResult = { cniVersion: '1.0.0', interfaces, dns: {} }
        return (await pod.call(ours, 'ADD', pod.conf(limited, { prevResult }), { ifName })).json
      }
      const inside = { name: 'eth0', sandbox: pod.netns }
      t.match(await add([]), { code: 7, msg: 'no interfaces provided' })
      const notListed = { code: 7, msg: 'no veth peer of container interface found in host ns' }
      t.match(await add([inside, { name: 'lo' }]), notListed)
      t.match(await add([inside, { name: pod.veth, sandbox: pod.netns }]), notListed, 'but in a sandbox')
      const noPeer = (ifName: string) => ({ code: 7, msg: `container interface ${ifName} has no veth peer` })
      t.match(await add([{ name: pod.veth }], 'eth9'), noPeer('eth9'))
      t.match(await add([{ name: pod.veth }], 'lo'), noPeer('lo'))
      // A pair whose other end is in a third namespace, under an index the host has as well.
      await host.sh(`
        ip netns add third; ip link add x0 netns third type veth peer name far netns ${pod.containerID}
        ip -n third link set x0 up
      `)
      t.match(await add([{ name: pod.veth }], 'far'), noPeer('far'))
    })

    await t.test('only the container’s own host end is shaped', async t => {
      const other = await ShapedPod.create(host, 'c2', { subnet: 1 })
      const prevResult = {
        cniVersion: '1.0.0',
        interfaces: [{ name: other.veth }, { name: pod.veth }, { name: 'eth0', sandbox: pod.netns }],
      }
      t.equal((await pod.call(ours, 'ADD', pod.conf(limited, { prevResult }))).code, 0)
      t.same(await other.qdiscs(), [])
      t.equal((await pod.qdiscs()).length, 2)
      t.equal((await pod.call(ours, 'DEL', pod.conf(limited))).code, 0)
      await host.sh(`ip link del ${other.veth}`)
    })

    await t.test(
      'what another program sends the host end’s packets through stays, and ADD undoes what it did',
      async t => {
        await host.sh(`tc qdisc add dev ${pod.veth} root handle 1: htb`)
        const occupied = await trafficControl(host)
        const { json } = await pod.call(ours, 'ADD', pod.conf(limited))
        t.match(json, { code: 999, msg: `create tbf qdisc 1: on "${pod.veth}": EEXIST` })
        t.equal((await pod.call(ours, 'DEL', pod.conf(limited))).code, 0)
        t.equal(await trafficControl(host), occupied)
        await host.sh(`tc qdisc del dev ${pod.veth} root`)
      },
    )

    await t.test('a burst that holds no packet is warned of on stderr', async t => {
      const { code, stderr } = await pod.call(ours, 'ADD', pod.conf({ ingressRate: 8000, ingressBurst: 80 }))
      t.equal(code, 0)
      t.match(stderr, `a burst of 80 bits is less than one packet of "${pod.veth}", whose MTU is 1500`)
      await pod.call(ours, 'DEL', pod.conf(limited))
    })

    await t.test('STATUS: ready, without a trace; code 50 without the right to ask', async t => {
      const conf = { cniVersion: '1.1.0', name: 'net', type: 'bandwidth' }
      const { code, stdout } = await pod.call(ours, 'STATUS', conf)
      t.same([code, stdout], [0, ''])
      t.equal(await trafficControl(host), before)
      t.equal(
        await host.sh('tc qdisc show dev lo; tc actions ls action mirred'),
        'qdisc noqueue 0: root refcnt 2 \n',
      )
      await host.sh('tc qdisc add dev lo root handle 1: tbf rate 1gbit burst 100000 limit 1000000')
      await host.sh('tc qdisc add dev lo ingress')
      t.equal((await pod.call(ours, 'STATUS', conf)).code, 0, 'with qdiscs of these kinds in the way')
      const unprivileged = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
      const { stdout: refusal } = await host.exec([...unprivileged, `${ours}/bandwidth`], {
        stdin: JSON.stringify(conf),
        env: { PATH: '/usr/bin:/bin', CNI_COMMAND: 'STATUS', CNI_PATH: ours },
      })
      t.match(JSON.parse(refusal), {
        code: 50,
        msg: 'bandwidth: traffic control cannot be used',
        details: /EPERM/,
      })
      await host.sh('tc qdisc del dev lo root; tc qdisc del dev lo ingress')
    })
  })

  t.test(`[${flavour}] calls recorded from cnitool and containerd`, async t => {
    const recorded = (name: string): Json =>
      JSON.parse(readFileSync(join(__dirname, '../../plugins/bandwidth/fixtures', `${name}.json`), 'utf8'))
    for (const name of ['cnitool-add', 'containerd-add', 'containerd-add-one-way']) {
      await t.test(name, async t => {
        const host = await PrivateHost.create(t)
        const pod = await ShapedPod.create(host, 'pod')
        const { containerID, ifName, args, stdin, stdout } = recorded(name)
        const [, hostEnd] = stdin.prevResult.interfaces
        await host.run('ip', 'link', 'set', pod.veth, 'name', hostEnd.name)
        const options = { containerID, ifName, args }
        const { json } = await pod.call(ours, 'ADD', stdin, options)
        const withoutMac = ({ mac, ...rest }: Json, index: number) => (index < 3 ? { mac, ...rest } : rest)
        t.same(json.interfaces.map(withoutMac), stdout.interfaces.map(withoutMac))
        t.same({ ...json, interfaces: [] }, { ...stdout, interfaces: [] })
        if (name === 'cnitool-add') {
          const check = recorded('cnitool-check')
          t.equal((await pod.call(ours, 'CHECK', check.stdin, options)).code, 0)
        }
        const { stdin: bare } = recorded('containerd-del')
        const del = { ...bare, name: stdin.name }
        t.equal((await pod.call(ours, 'DEL', del, { ...options, netns: '' })).code, 0)
        t.equal((await pod.call(ours, 'DEL', del, { ...options, netns: '' })).code, 0)
        t.same(await ifbs(host), [])
      })
    }
  })
}

const [flavour] = anyFlavour
const hasStrace = existsSync('/usr/bin/strace') ? {} : { skip: 'strace is not installed' }
/** Of so many requests scripts/test tries one; faults-shaping.ts goes through all system calls. */
const stride = isSoak ? 1 : 3

t.test('an ADD that fails or is killed at any of its requests to the kernel', hasStrace, async t => {
  const ours = binDir(flavour ?? 'standalone')
  const host = await PrivateHost.create(t)
  const pod = await ShapedPod.create(host, 'c1')
  const before = await trafficControl(host)
  const { containerID, netns, ifName } = pod
  /** ADD with the n-th of its sends failing or fatal. */
  const injected = (inject: string, n: number) =>
    host.exec(
      [
        'strace',
        '-f',
        '-o',
        '/dev/null',
        '-e',
        'trace=sendto',
        '-e',
        `inject=sendto:${inject}:when=${n}`,
      ].concat(`${ours}/bandwidth`),
      {
        stdin: JSON.stringify(pod.conf(unset)),
        env: {
          PATH: '/usr/bin:/bin',
          CNI_COMMAND: 'ADD',
          CNI_CONTAINERID: containerID,
          CNI_NETNS: netns,
          CNI_IFNAME: ifName,
          CNI_PATH: ours,
        },
      },
    )

  await t.test('undoes what it did, and says why', async t => {
    let n = 1
    for (; n < 40; n += stride) {
      const { code, stdout } = await injected('error=ENOBUFS', n)
      if (code === 0) break
      t.match(JSON.parse(stdout), { code: 11, msg: /ENOBUFS/ }, `request ${n}`)
      t.equal(await trafficControl(host), before, `request ${n}`)
    }
    t.ok(n > 10 && n < 40, `${n - 1} requests`)
    await pod.call(ours, 'DEL', pod.conf(unset))
    t.equal(await trafficControl(host), before)
  })

  await t.test('DEL, GC or another ADD put it right', async t => {
    const gc = { cniVersion: '1.1.0', name: 'net', type: 'bandwidth', 'cni.dev/valid-attachments': [] }
    let n = 2
    for (; n < 40; n += stride) {
      if ((await injected('signal=KILL', n)).code === 0) break
      t.equal((await pod.call(ours, 'ADD', pod.conf(unset))).code, 0, `ADD after request ${n}`)
      t.equal((await pod.call(ours, 'CHECK', pod.conf(unset))).code, 0, `CHECK after request ${n}`)
      await pod.call(ours, 'DEL', pod.conf(unset))
      t.equal(await trafficControl(host), before, `DEL after request ${n} and another ADD`)
      await injected('signal=KILL', n)
      if (n % 2 === 0) {
        t.equal((await pod.call(ours, 'GC', gc)).code, 0)
        t.same(await ifbs(host), [], `GC after request ${n}`)
      }
      t.equal((await pod.call(ours, 'DEL', pod.conf(unset))).code, 0)
      t.equal(await trafficControl(host), before, `DEL after request ${n}`)
    }
    t.ok(n > 10 && n < 40, `${n - 1} requests`)
  })
})
