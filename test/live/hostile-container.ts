/**
 * A container with CAP_NET_ADMIN in its own network namespace chooses the numbers, names, MACs and addresses of its
 * interfaces. None of them leads a call for it to another container's interface on the host.
 */
import t from 'tap'
import { bridgeConf, hostWithPods } from '../fixtures/bridge'
import { anyFlavour, binDir, type Json } from '../fixtures/cni'
import { confDir, runKubenet } from '../fixtures/command-line'
import { kubenetConf, Node } from '../fixtures/kubenet'
import { PrivateHost } from '../fixtures/private-host'
import { bothWays, ShapedPod } from '../plugins/bandwidth/fixtures/shaped-pod'

const rates = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 }

/** The numbers of a container's interface and of its other end on the host. */
const numbersOf = async (host: PrivateHost, name: string): Promise<{ inside: number; host: number }> => {
  const [link] = await host.json<Json[]>('ip', '-n', name, 'link', 'show', 'eth0')
  return { inside: link.ifindex, host: link.link_index }
}

/** Replaces the container's eth0 by a pair of its own that has the numbers of another container's. */
const pretend = async (host: PrivateHost, attacker: string, victim: string): Promise<void> => {
  const numbers = await numbersOf(host, victim)
  // Interfaces have free numbers only, and the attacker's own may be in the way.
  await host.sh(`
    ip -n ${attacker} link del eth0
    ip -n ${attacker} link add eth0 index ${numbers.inside} type veth peer name x index ${numbers.host}
    ip -n ${attacker} link set eth0 up; ip -n ${attacker} link set x up
  `)
}

/** Does a pod reach its gateway? */
const pings = async (host: PrivateHost, name: string, address: string): Promise<boolean> =>
  (await host.exec(['ip', 'netns', 'exec', name, 'ping', '-n', '-c1', '-W2', address])).code === 0

for (const flavour of anyFlavour) {
  const ours = binDir(flavour)

  t.test(`[${flavour}] kubenet: the numbers of another pod’s interfaces`, async t => {
    const conf: Json = kubenetConf({ runtimeConfig: { bandwidth: rates } })
    const node = await Node.create(t, flavour)
    const { host } = node
    const victim = await node.add('victim', conf)
    const gateways = await node.gateways()
    const prevResult = await node.add('attacker', conf)
    const whole = async (about: string) => {
      for (const gateway of gateways) t.ok(await pings(host, 'victim', gateway), `${about}: ping ${gateway}`)
      const { code, stdout } = await node.call('CHECK', 'victim', { ...conf, prevResult: victim })
      t.same([code, stdout], [0, ''], `${about}: CHECK of the victim`)
    }
    await whole('before')
    await pretend(host, 'attacker', 'victim')
    const check = await node.call('CHECK', 'attacker', { ...conf, prevResult })
    t.not(check.code, 0, 'the victim’s interfaces do not pass for the attacker’s')
    await node.del('attacker', { ...conf, prevResult })
    await whole('after DEL')
    await node.del('attacker', conf)
    await whole('after a second DEL')
  })

  t.test(`[${flavour}] bandwidth: the other pod keeps its limit`, async t => {
    const host = await PrivateHost.create(t)
    // An interface can have no number that another one of its namespace has, and the first ones are taken.
    await host.sh('for i in 1 2 3; do ip link add other$i type bridge; done')
    const victim = await ShapedPod.create(host, 'victim')
    const attacker = await ShapedPod.create(host, 'attacker', { subnet: 1 })
    const limited = bothWays(8_000_000, 80_000)
    t.equal((await victim.call(ours, 'ADD', victim.conf(limited))).code, 0)
    t.equal((await attacker.call(ours, 'ADD', attacker.conf(limited))).code, 0)
    const limits = async () => [await victim.qdiscs(), await victim.filters()]
    const before = await limits()
    await pretend(host, 'attacker', 'victim')
    const named = (veth: string): Json =>
      attacker.conf(limited, {
        prevResult: {
          cniVersion: '1.0.0',
          interfaces: [{ name: veth }, { name: 'eth0', sandbox: attacker.netns }],
        },
      })
    for (const verb of ['CHECK', 'ADD'] as const) {
      const { json } = await attacker.call(ours, verb, named(victim.veth))
      t.same([json.code, json.msg], [7, 'container interface eth0 has no veth peer'], verb)
    }
    t.equal((await attacker.call(ours, 'DEL', named(victim.veth))).code, 0)
    t.same(await limits(), before)
    t.ok(await pings(host, 'victim', '10.9.0.1'))
    t.equal((await victim.call(ours, 'CHECK', victim.conf(limited))).code, 0)
  })

  t.test(`[${flavour}] bridge: numbers, names, MACs and addresses of another pod`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const conf = bridgeConf('dual', { isGateway: true, ipMasq: true, macspoofchk: true })
    const victim = await pod('victim')
    const attacker = await pod('attacker')
    const result = await victim.add(conf)
    const gateways = ['10.1.2.1', 'fd00:2::1']
    const whole = async (about: string) => {
      for (const gateway of gateways) t.ok(await victim.pings(gateway), `${about}: ping ${gateway}`)
      const { code, stdout } = await victim.call('CHECK', { ...conf, prevResult: result })
      t.same([code, stdout], [0, ''], `${about}: CHECK of the victim`)
    }
    const [link] = await host.json<Json[]>('ip', '-n', 'victim', 'link', 'show', 'eth0')

    await t.test('numbers', async t => {
      const prevResult = await attacker.add(conf)
      await whole('before')
      await pretend(host, 'attacker', 'victim')
      // So that nothing but the other end is amiss.
      await host.sh(`ip -n attacker link set eth0 down; ip -n attacker link set eth0 address ${prevResult.interfaces[2].mac} up
        for a in ${prevResult.ips.map(({ address }: Json) => address).join(' ')}; do ip -n attacker addr add $a dev eth0; done`)
      const { json } = await attacker.call('CHECK', { ...conf, prevResult })
      t.same([json.code, json.msg], [999, 'CNI veth created for bridge br0 was not found'], 'CHECK')
      t.equal((await attacker.call('DEL', { ...conf, prevResult })).code, 0)
      await whole('after')
    })

    await t.test('MAC and addresses', async t => {
      await attacker.add(conf)
      await host.sh(`
        ip -n attacker link set eth0 down; ip -n attacker link set eth0 address ${link.address}
        ip -n attacker addr flush dev eth0
        ip -n attacker addr add 10.1.2.2/24 dev eth0; ip -n attacker addr add fd00:2::2/64 dev eth0 nodad
      `)
      t.equal((await attacker.call('DEL', conf)).code, 0)
      await whole('after')
    })

    await t.test('names', async t => {
      await attacker.add(conf)
      await host.sh(
        `ip -n attacker link set eth0 down; ip -n attacker link set eth0 name ${result.interfaces[1].name}`,
      )
      t.equal((await attacker.call('DEL', conf)).code, 0)
      await whole('after')
    })
  })

  t.test(`[${flavour}] sync does not take another pod’s interface for the attacker’s`, async t => {
    const host = await PrivateHost.create(t)
    const list = JSON.stringify({
      cniVersion: '1.1.0',
      name: 'pods',
      plugins: [kubenetConf({ podCIDRs: ['10.244.1.0/24'] })],
    })
    await host.exec(['sh', '-c', `mkdir -p ${confDir}; cat > ${confDir}/10-pods.conflist`], { stdin: list })
    for (const name of ['victim', 'attacker']) {
      const { code, stderr } = await runKubenet(host, flavour, ['add', 'pods', await host.netns(name)])
      t.equal(code, 0, stderr)
    }
    await pretend(host, 'attacker', 'victim')
    const { stdout } = await runKubenet(host, flavour, ['sync', '--json', '--dry-run'])
    const { attachments } = JSON.parse(stdout) as { attachments: Json[] }
    t.equal(attachments.filter(({ state }) => state === 'gone').length, 1, stdout)
    t.ok(await pings(host, 'victim', '10.244.1.1'))
  })
}
