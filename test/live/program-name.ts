/** Programs that were installed under another name than the plugin's, as a network's `type` may want it. */
import t from 'tap'
import { bridgeConf, layer2Conf } from '../fixtures/bridge'
import { binDir, call, flavours } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

for (const flavour of flavours) {
  t.test(`[${flavour}] a copy of bridge under other names connects and disconnects a container`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('c1')
    await host.sh(
      `mkdir /run/bin; cp ${binDir(flavour)}/bridge /run/bin/cnv-bridge; ln /run/bin/cnv-bridge /run/bin/bridge.old`,
    )
    const path = `/run/bin:${binDir(flavour)}`
    for (const name of ['cnv-bridge', 'bridge.old']) {
      const conf = bridgeConf('v4', { type: name })
      const before = await host.snapshot()
      const added = await call(host, '/run/bin', name, conf, { netns, path })
      t.match(added.json, { interfaces: [{ name: 'br0' }, {}, { name: 'eth0' }], ips: [{}] }, name)
      const deleted = await call(host, '/run/bin', name, conf, { command: 'DEL', netns, path })
      t.same([deleted.code, deleted.stdout], [0, ''])
      await host.run('ip', 'link', 'del', 'br0')
      t.equal(await host.snapshot(), before)
    }
  })

  t.test(`[${flavour}] a copy of host-local under another name is an IPAM plugin of its own`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('c1')
    await host.sh(`mkdir /run/bin; cp ${binDir(flavour)}/host-local /run/bin/my-host-local`)
    const conf = layer2Conf({ ipam: { type: 'my-host-local', subnet: '10.1.2.0/24' } })
    const path = `/run/bin:${binDir(flavour)}`
    const added = await call(host, binDir(flavour), 'bridge', conf, { netns, path })
    t.equal(added.json.ips[0].address, '10.1.2.2/24')
  })

  t.test(`[${flavour}] a link whose name tells nothing is what the file it leads to is called`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('c1')
    await host.sh(`mkdir /run/bin; ln -s ${binDir(flavour)}/loopback /run/bin/mynet`)
    const { code, json } = await call(host, '/run/bin', 'mynet', layer2Conf(), { netns })
    t.same([code, json.interfaces[0].name], [0, 'lo'])
  })

  t.test(`[${flavour}] a name that means no plugin, or two, is refused with the way out`, async t => {
    const host = await PrivateHost.create(t)
    await host.sh(
      `mkdir /run/bin; for name in mynet bridge-portmap; do cp ${binDir(flavour)}/bridge /run/bin/$name; done`,
    )
    const unknown = await call(host, '/run/bin', 'mynet', layer2Conf())
    t.match(unknown.json, {
      code: 7,
      msg: 'no plugin of kubenet-cni is called "mynet"',
      details: /the name of a copy must contain that name, as in "my-bridge" or "bridge-1\.0"$/,
    })
    const ambiguous = await call(host, '/run/bin', 'bridge-portmap', layer2Conf())
    t.match(ambiguous.json, {
      code: 7,
      msg: '"bridge-portmap" may be more than one plugin of kubenet-cni: bridge, portmap',
    })
  })
}
