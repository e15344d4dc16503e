/** A network whose configuration names no bridge: cbr0, or the reference's cni0 where that carries the network. */
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { bridgeConf, layer2Conf, linksOf, Pod } from '../../fixtures/bridge'
import { anyFlavour, binDir, type Flavour, type Json, peerDir } from '../../fixtures/cni'
import { runKubenet } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

const none = existsSync(`${peerDir}/bridge`) ? {} : { skip: `${peerDir}/bridge is not installed` }

const unnamed = ({ bridge: _, ...conf }: Json): Json => conf
const routed = unnamed(bridgeConf('v4', { isGateway: true }))
const addressed = unnamed(bridgeConf('v4', { name: 'flat' }))
const layer2 = unnamed(layer2Conf({ name: 'wire' }))
const other = {
  ...unnamed(bridgeConf('v4', { isGateway: true, name: 'other' })),
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.7.0.0/24' }]] },
}

const bridgesOf = async (host: PrivateHost): Promise<string[]> =>
  [...(await linksOf(host)).values()]
    .filter(({ linkinfo }) => linkinfo?.info_kind === 'bridge')
    .map(({ ifname }) => ifname)
    .sort()

/** A host on which the reference has connected a container to each of the networks. */
const takenOver = async (t: Test, flavour: Flavour, networks: readonly Json[]) => {
  const host = await PrivateHost.create(t)
  const results: Json[] = []
  for (const [i, conf] of networks.entries()) {
    const pod = await Pod.create(host, { folder: peerDir }, `old${i}`)
    results.push(await pod.add(conf))
  }
  return { host, results, pod: (name: string) => Pod.create(host, { flavour }, name) }
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] it is cbr0 where the reference has served nothing`, async t => {
    const host = await PrivateHost.create(t)
    const a = await Pod.create(host, { flavour }, 'a')
    for (const conf of [routed, addressed, layer2, { ...routed, bridge: '' }]) {
      t.equal((await a.add(conf)).interfaces[0].name, 'cbr0')
      await a.call('DEL', conf)
    }
    await host.run('ip', 'link', 'add', 'cni0', 'type', 'veth', 'peer', 'name', 'x')
    t.equal((await a.add(routed)).interfaces[0].name, 'cbr0', 'cni0 is no bridge')
  })

  t.test(
    `[${flavour}] it is cni0 for the networks that the reference has served, with all verbs`,
    none,
    async t => {
      for (const conf of [routed, addressed, layer2]) {
        const about = conf.name
        const { host, results, pod } = await takenOver(t, flavour, [conf])
        const a = await pod('a')
        const result = await a.add(conf)
        t.equal(result.interfaces[0].name, 'cni0', about)
        t.same(await bridgesOf(host), ['cni0'], `${about}: no other bridge was made`)
        if (conf !== layer2) t.ok(await a.pings('10.1.2.2'), `${about}: the older container is reached`)
        const older = { containerID: 'old0', netns: '/run/netns/old0' }
        for (const [prevResult, options] of [[results[0], older] as const, [result, {}] as const]) {
          const { code, stdout } = await a.call('CHECK', { ...conf, prevResult }, options)
          t.same([code, stdout], [0, ''], `${about}: CHECK`)
        }
        const newest = { ...conf, cniVersion: '1.1.0' }
        const valid = { 'cni.dev/valid-attachments': [{ containerID: 'a', ifname: 'eth0' }] }
        t.equal((await a.call('STATUS', newest)).code, 0, `${about}: STATUS`)
        t.equal((await a.call('GC', { ...newest, ...valid })).code, 0, `${about}: GC`)
        t.equal((await a.call('CHECK', { ...conf, prevResult: result })).code, 0, `${about}: CHECK after GC`)
        t.equal((await a.call('DEL', conf, older)).code, 0, `${about}: DEL`)
        t.equal((await a.call('DEL', { ...conf, prevResult: result })).code, 0, `${about}: DEL`)
        t.same(await bridgesOf(host), ['cni0'], about)
        // Its gateway, or nothing, is left of a network without containers.
        t.equal((await a.add(conf)).interfaces[0].name, conf === routed ? 'cni0' : 'cbr0', about)
      }
    },
  )

  t.test(`[${flavour}] another network's cni0 is left to it`, none, async t => {
    const { host, pod } = await takenOver(t, flavour, [routed])
    const a = await pod('a')
    t.equal((await a.add(other)).interfaces[0].name, 'cbr0')
    const b = await pod('b')
    t.equal((await b.add(routed)).interfaces[0].name, 'cni0', 'also where cbr0 is there')
    t.same(await bridgesOf(host), ['cbr0', 'cni0'])
  })

  t.test(`[${flavour}] a network that is on cbr0 stays there`, none, async t => {
    const host = await PrivateHost.create(t)
    const a = await Pod.create(host, { flavour }, 'a')
    const result = await a.add(routed)
    await host.sh('ip link add cni0 type bridge; ip addr add 10.1.2.1/24 dev cni0; ip link set cni0 up')
    t.equal((await a.call('CHECK', { ...routed, prevResult: result })).code, 0)
    const b = await Pod.create(host, { flavour }, 'b')
    t.equal((await b.add(routed)).interfaces[0].name, 'cbr0')
  })

  t.test(`[${flavour}] the command line goes by the same bridge`, none, async t => {
    const { host, pod } = await takenOver(t, flavour, [])
    await pod('blue')
    await pod('green')
    await host.sh('mkdir -p /run/net.d')
    const list = { cniVersion: '1.0.0', name: 'net', plugins: [routed] }
    await host.exec(['tee', '/run/net.d/10-net.conflist'], { stdin: JSON.stringify(list) })
    const add = (name: string, folder: string) =>
      runKubenet(host, flavour, ['add', 'net', `/run/netns/${name}`, '--container-id', name], {
        env: { CNI_PATH: folder },
      })
    t.match(await add('blue', peerDir), { code: 0 })
    t.match(await add('green', binDir(flavour)), { code: 0 })
    await host.sh('sleep 2.1')
    const inspected = JSON.parse((await runKubenet(host, flavour, ['inspect', '--json'])).stdout)
    t.same(
      inspected.networks.map(({ bridge }: Json) => bridge),
      ['cni0'],
    )
    const doctor = JSON.parse((await runKubenet(host, flavour, ['doctor', '--json'])).stdout)
    t.same(
      doctor.lines.filter(({ status, says }: Json) => status === 'fail' && /cbr0|cni0|10\.1\.2/.test(says)),
      [],
    )
    const sync = await runKubenet(host, flavour, ['sync', '--dry-run'])
    t.notMatch(sync.stdout, /cbr0/)
  })
}
