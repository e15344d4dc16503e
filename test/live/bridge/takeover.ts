import { existsSync } from 'node:fs'
import t from 'tap'
import { addressesOf, bridgeConf, linksOf, Pod } from '../../fixtures/bridge'
import { eventually } from '../../fixtures/cluster/eventually'
import { anyFlavour, binDir, peerDir } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const none = existsSync(`${peerDir}/bridge`) ? {} : { skip: `${peerDir}/bridge is not installed` }

const v4 = bridgeConf('v4', { isDefaultGateway: true, ipMasq: true, hairpinMode: true })
const networks = {
  v4,
  dual: bridgeConf('dual', { isDefaultGateway: true, ipMasq: true }),
  'v4 at 0.4.0': { ...v4, cniVersion: '0.4.0' },
  'v4 with a MAC and an MTU': { ...v4, mtu: 1400, runtimeConfig: { mac: '02:00:00:00:00:42' } },
}

/** The host's state without the notes that host-local keeps beside its leases: the reference does not know them. */
const stateOf = async (host: PrivateHost) =>
  (await host.snapshot()).replaceAll(/^\/var\/lib\/cni\/.*\/\..*\n/gm, '')

/** Ends the namespace of c1: the kernel deletes its veth some time later, of which DEL and GC need not know. */
const endNamespace = async (host: PrivateHost): Promise<void> => {
  const veths = async () => [...(await linksOf(host)).keys()].filter(name => name.startsWith('veth')).length
  const before = await veths()
  await host.run('ip', 'netns', 'del', 'c1')
  await eventually('the veth goes with its namespace', async () => (await veths()) < before)
}

for (const flavour of anyFlavour) {
  const ours = binDir(flavour)
  const ways = [
    { made: peerDir, by: 'the reference', taken: ours, over: 'this project' },
    { made: ours, by: 'this project', taken: peerDir, over: 'the reference' },
  ]
  for (const { made, by, taken, over } of ways) {
    t.test(`[${flavour}] what ${by} ADDed, ${over} CHECKs and DELs`, none, async t => {
      for (const [what, conf] of Object.entries(networks)) {
        const host = await PrivateHost.create(t)
        await host.sh(
          'for i in iptables ip6tables; do $i -t nat -A POSTROUTING -j ACCEPT; $i -t nat -F; done',
        )
        const [first, later] = [
          await Pod.create(host, { folder: made }, 'c1'),
          await Pod.create(host, { folder: taken }, 'c2'),
        ]
        const before = await stateOf(host)
        const result = await first.add(conf)
        const { mac: _, ...withoutMac } = conf.runtimeConfig ?? {}
        await later.add({ ...conf, runtimeConfig: withoutMac })
        for (const [pod, other] of [[first, later] as const, [later, first] as const]) {
          for (const address of addressesOf(await other.link())) {
            t.ok(await pod.pings(address.split('/')[0] ?? ''), `${what}: ${pod.name} to ${address}`)
          }
          t.ok(await pod.pings('10.1.2.1'), `${what}: ${pod.name} to the gateway`)
        }
        const calls = { containerID: 'c1', netns: first.netns, path: taken }
        const check = await later.call('CHECK', { ...conf, prevResult: result }, calls)
        t.same([check.code, check.stdout], [0, ''], `${what}: CHECK`)
        for (const time of ['first', 'second']) {
          const del = await later.call('DEL', { ...conf, prevResult: result }, calls)
          t.same([del.code, del.stdout], [0, ''], `${what}: the ${time} DEL`)
        }
        t.equal(await first.link(), undefined)
        await first.call('DEL', conf, { containerID: 'c2', netns: later.netns, path: made })
        await host.run('ip', 'link', 'del', 'br0')
        t.equal(await stateOf(host), before, `${what}: nothing is left`)
      }
    })
  }

  t.test(
    `[${flavour}] this project's DEL cleans a reference container whose namespace is gone`,
    none,
    async t => {
      const host = await PrivateHost.create(t)
      await host.sh('for i in iptables ip6tables; do $i -t nat -A POSTROUTING -j ACCEPT; $i -t nat -F; done')
      const [theirs, our] = [
        await Pod.create(host, { folder: peerDir }, 'c1'),
        await Pod.create(host, { flavour }, 'c2'),
      ]
      await our.add(networks.dual)
      await our.call('DEL', networks.dual)
      const before = await stateOf(host)
      await theirs.add(networks.dual)
      await endNamespace(host)
      const options = { containerID: 'c1', netns: theirs.netns, path: binDir(flavour) }
      t.equal((await our.call('DEL', networks.dual, options)).code, 0)
      t.equal(await stateOf(host), before)
    },
  )

  t.test(`[${flavour}] GC clears the reference's leases and rules too`, none, async t => {
    const host = await PrivateHost.create(t)
    const [theirs, our] = [
      await Pod.create(host, { folder: peerDir }, 'c1'),
      await Pod.create(host, { flavour }, 'c2'),
    ]
    const result = await our.add(networks.dual)
    const before = await stateOf(host)
    await theirs.add(networks.dual)
    await endNamespace(host)
    const valid = {
      'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }],
      cniVersion: '1.1.0',
    }
    t.equal((await our.call('GC', { ...networks.dual, ...valid })).code, 0)
    t.equal(await stateOf(host), before)
    t.equal((await our.call('CHECK', { ...networks.dual, prevResult: result })).code, 0)
    t.equal((await linksOf(host)).size, 3)
  })
}
