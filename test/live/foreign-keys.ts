/**
 * Keys the reference does not know, with a type or value that is not theirs: another plugin's keys of the same name, or a
 * typo after the container was added. No DEL and no GC fails of them.
 */
import t from 'tap'
import { bridgeConf } from '../fixtures/bridge'
import { anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { kubenetConf } from '../fixtures/kubenet'
import { PrivateHost } from '../fixtures/private-host'

const odd = (keys: readonly string[], value: unknown) => Object.fromEntries(keys.map(key => [key, value]))
const values: readonly unknown[] = [3.5, {}, [1], true, 'no such value/…']

const common = ['logLevel', 'logFile']
const ofBridge = [
  ...['mtuOverhead', 'mtuFallback', 'keepAddresses', 'dropInvalid', 'nonMasqueradeCIDRs', 'uplinks', 'prune'],
  ...['vethPrefix', 'ipv6', 'bridgeNetfilter'],
]
const ofHostLocal = ['exclude', 'staticRanges', 'sticky', 'probe', 'cooldownSeconds']
const ofKubenet = ['nonMasqueradeCIDR', 'nonMasqueradeCIDRs', 'mtu', 'mtuOverhead', 'hairpinMode', 'backend']

const gcKeys = { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] DEL and GC skip them`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('c1')
    const plain = bridgeConf('v4', { isGateway: true, ipMasq: true })
    const named: Json = { cniVersion: '1.0.0', name: 'net' }
    const plugins: [plugin: string, good: Json, spoilt: (value: unknown) => Json][] = [
      [
        'bridge',
        plain,
        value => ({
          ...{ ...plain, ...odd([...common, ...ofBridge], value) },
          ipam: { ...plain.ipam, ...odd(ofHostLocal, value) },
        }),
      ],
      [
        'host-local',
        plain,
        value => ({ ...plain, ...odd(common, value), ipam: { ...plain.ipam, ...odd(ofHostLocal, value) } }),
      ],
      ['kubenet', kubenetConf(), value => kubenetConf(odd([...common, ...ofKubenet], value))],
      ['portmap', named, value => ({ ...named, ...odd([...common, 'hostListeners'], value) })],
      ['bandwidth', named, value => ({ ...named, ...odd(common, value) })],
      ['loopback', named, value => ({ ...named, ...odd(common, value) })],
    ]
    for (const [plugin, good, spoilt] of plugins) {
      const chained = plugin === 'portmap' || plugin === 'bandwidth'
      for (const value of values) {
        // A log file may be called anything.
        if (value === values.at(-1)) await host.sh('mkdir -p "/no such value"')
        const about = `${plugin}, ${JSON.stringify(value)}`
        const prevResult = chained ? { cniVersion: '1.0.0', ips: [{ address: '10.1.2.9/24' }] } : undefined
        const added = await call(host, binDir(flavour), plugin, { ...good, prevResult }, { netns })
        t.equal(added.code, 0, `${about}: ADD ${added.stdout}`)
        const deleted = await call(host, binDir(flavour), plugin, spoilt(value), { netns, command: 'DEL' })
        t.same([deleted.code, deleted.stdout], [0, ''], `${about}: DEL`)
        const links = await host.run('ip', '-o', 'link', 'show', 'type', 'veth')
        t.equal(links, '', `${about}: the interface is gone`)
        const gone = await call(
          host,
          binDir(flavour),
          plugin,
          { ...spoilt(value), ...gcKeys },
          { command: 'GC' },
        )
        t.same([gone.code, gone.stdout], [0, ''], `${about}: GC`)
      }
    }
    t.equal(await host.sh('find /var/lib/cni/networks -name "10.*"'), '', 'no lease is left')
  })

  t.test(`[${flavour}] ADD refuses what is ours alone, and skips what others have too`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('c1')
    const add = (more: Json) => call(host, binDir(flavour), 'bridge', bridgeConf('v4', more), { netns })
    t.match((await add({ vethPrefix: 5 })).json, { code: 7, msg: /^bridge: "vethPrefix"/ })
    t.equal((await add({ logLevel: 'verbose', logFile: {} })).code, 0)
  })
}
