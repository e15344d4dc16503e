/** CHECK, and the doctor, of a container in which a later plugin of the chain has changed what bridge made. */
import { existsSync } from 'node:fs'
import t from 'tap'
import { bridgeConf, hostVethOf, hostWithPods } from '../../fixtures/bridge'
import { anyFlavour, binDir, call, type Json, peerDir } from '../../fixtures/cni'

const none = existsSync(`${peerDir}/tuning`) ? {} : { skip: `${peerDir}/tuning is not installed` }

const confs: readonly Json[] = [
  bridgeConf('dual', { isDefaultGateway: true }),
  bridgeConf('dual', { isDefaultGateway: true, mtu: 1500 }),
  // Only results of this version say MTUs. The plugin after it is older than that.
  bridgeConf('dual', { isDefaultGateway: true, cniVersion: '1.1.0' }),
  { cniVersion: '1.0.0', name: 'net', type: 'kubenet', podCIDRs: ['10.1.2.0/24', 'fd00:2::/64'] },
]

const changes: readonly Json[] = [
  { mtu: 1400 },
  { mac: '02:00:00:00:00:42' },
  { promisc: true },
  { sysctl: { 'net.ipv4.conf.eth0.arp_filter': '1' } },
]

/** A result in the version that the other plugin knows. */
const downgraded = ({ interfaces, ...result }: Json): Json => ({
  ...result,
  cniVersion: '1.0.0',
  interfaces: interfaces.map(({ mtu: _, ...rest }: Json) => rest),
})

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] changes of "tuning" are no fault`, none, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const { netns } = await pod('c1')
    for (const conf of confs) {
      for (const change of changes) {
        const about = `${conf.type} ${conf.cniVersion}, mtu ${conf.mtu}: ${JSON.stringify(change)}`
        const made = await call(host, binDir(flavour), conf.type, conf, { netns })
        t.equal(made.code, 0, `${about}: ${made.stdout}`)
        const tuning = { cniVersion: '1.0.0', name: 'net', type: 'tuning', ...change }
        const tuned = await call(
          host,
          peerDir,
          'tuning',
          { ...tuning, prevResult: downgraded(made.json) },
          { netns },
        )
        t.equal(tuned.code, 0, `${about}: ${tuned.stdout}`)
        const prevResult = {
          ...made.json,
          interfaces: tuned.json.interfaces.map((found: Json, i: number) => ({
            ...made.json.interfaces[i],
            ...found,
          })),
        }
        const check = await call(
          host,
          binDir(flavour),
          conf.type,
          { ...conf, prevResult },
          { command: 'CHECK', netns },
        )
        t.same([check.code, check.stdout], [0, ''], about)
        await call(host, binDir(flavour), conf.type, { ...conf, prevResult }, { command: 'DEL', netns })
      }
    }
  })

  t.test(`[${flavour}] an MTU by which frames vanish is a fault`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    for (const conf of confs.slice(0, 3)) {
      const result = await a.add(conf)
      const veth = hostVethOf(result)
      const harms: [string, string, RegExp][] = [
        ['ip -n c1 link set eth0 mtu 1600', 'ip -n c1 link set eth0 mtu 1500', /: 1600, 1500, 1500/],
        [`ip link set ${veth} mtu 1400`, `ip link set ${veth} mtu 1500`, /: 1500, 1400, 1[45]00/],
        ['ip link set br0 mtu 1400', 'ip link set br0 mtu 1500', /: 1500, 1500, 1400/],
      ]
      for (const [harm, repair, says] of harms) {
        await host.sh(harm)
        const { json } = await a.call('CHECK', { ...conf, prevResult: result })
        t.match(json, { code: 999, msg: says }, harm)
        await host.sh(repair)
      }
      await a.call('DEL', conf)
    }
  })
}
