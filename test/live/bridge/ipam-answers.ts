/** What IPAM plugins see and answer: the MAC they go by, routes with host bits, gateways of the other family. */
import t from 'tap'
import { bridgeConf, hostWithPods, layer2Conf } from '../../fixtures/bridge'
import { anyFlavour, binDir, call, type Json } from '../../fixtures/cni'
import type { PrivateHost } from '../../fixtures/private-host'

/** An IPAM plugin that notes the interface as it finds it and answers `result`, which may be any part of one. */
const ipamPlugin = (host: PrivateHost, result: Json) =>
  host.sh(`mkdir -p /run/ipam; cat > /run/ipam/pool <<'END'
#!/bin/sh
cat > /dev/null
ip netns exec \${CNI_NETNS##*/} cat /sys/class/net/$CNI_IFNAME/address > /run/ipam/mac.$CNI_COMMAND 2> /dev/null
[ $CNI_COMMAND != ADD ] || echo '${JSON.stringify({ cniVersion: '1.0.0', ...result })}'
END
chmod +x /run/ipam/pool`)

const pool = (more: Json = {}) => layer2Conf({ ipam: { type: 'pool' }, ...more })

for (const flavour of anyFlavour) {
  const path = `/run/ipam:${binDir(flavour)}:/usr/sbin:/usr/bin:/sbin:/bin`

  t.test(`[${flavour}] the container's MAC is final before the IPAM plugin is called`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await ipamPlugin(host, { ips: [{ address: '10.1.2.3/24' }] })
    for (const more of [{}, { runtimeConfig: { mac: '0a58.0102.0304' } }, { macspoofchk: true }]) {
      const result = await a.add(pool(more), { path })
      const seen = (await host.sh('cat /run/ipam/mac.ADD')).trim()
      t.match(seen, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
      t.equal((await a.link()).address, seen, 'after ADD')
      t.equal(result.interfaces[2].mac, seen, 'in the result')
      if ('runtimeConfig' in more) t.equal(seen, '0a:58:01:02:03:04', 'a MAC with dots')
      await a.call('DEL', pool(more), { path })
    }
  })

  t.test(`[${flavour}] host-local, which looks at no interface, decides the MAC by its address`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const result = await (await pod('c1')).add(bridgeConf('v4'))
    t.equal(result.interfaces[2].mac, '0a:58:0a:01:02:02')
  })

  t.test(`[${flavour}] a route's destination may have host bits`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const routes = [{ dst: '10.7.8.9/16', gw: '10.1.2.1' }, { dst: 'fd00:7::9/64' }]
    const conf = bridgeConf('dual', { isGateway: true })
    const result = await a.add({ ...conf, ipam: { ...conf.ipam, routes } })
    t.match(result.routes, [{ dst: '10.7.0.0/16' }, { dst: 'fd00:7::/64' }])
    t.match(await host.run('ip', '-n', 'c1', 'route'), /^10\.7\.0\.0\/16 via 10\.1\.2\.1/m)
    t.match(await host.run('ip', '-n', 'c1', '-6', 'route'), /^fd00:7::\/64 via fd00:2::1/m)
    const checked = await a.call('CHECK', { ...conf, prevResult: result })
    t.same([checked.code, checked.stdout], [0, ''])
  })

  t.test(`[${flavour}] a gateway of the other family is refused, and nothing is left`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await host.run('ip', 'link', 'add', 'br0', 'up', 'type', 'bridge')
    const before = await host.snapshot()
    const cases: [result: Json, msg: RegExp][] = [
      [
        { ips: [{ address: '10.1.2.3/24', gateway: 'fd00::1' }] },
        /^the "gateway" fd00::1 of the address 10\.1\.2\.3\/24 is IPv6$/,
      ],
      [
        { ips: [{ address: 'fd00::3/64' }], routes: [{ dst: '::/0', gw: '10.1.2.1' }] },
        /^the "gw" 10\.1\.2\.1 of the route to ::\/0 is IPv4$/,
      ],
    ]
    for (const [result, msg] of cases) {
      await ipamPlugin(host, result)
      const { json } = await a.call('ADD', pool({ isGateway: true }), { path })
      t.match(json, { code: 7, msg })
      t.equal(await host.snapshot(), before)
      t.equal(await a.link(), undefined)
    }
  })

  t.test(`[${flavour}] a prevResult as the Go plugins take it`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const prevResult = {
      cniVersion: '1.0.0',
      interfaces: [
        { name: '', mtu: -1 },
        { name: 'eth0', mac: '0a58.0102.0304', sandbox: a.netns },
      ],
      ips: [
        { interface: -1, address: '10.1.2.3/24' },
        { interface: 70000, address: 'fd00::3/64' },
      ],
    }
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
    const conf = { cniVersion: '1.0.0', name: 'net', runtimeConfig: { portMappings }, prevResult }
    for (const backend of ['iptables', 'nftables']) {
      const added = await call(host, binDir(flavour), 'portmap', { ...conf, backend }, { netns: a.netns })
      t.equal(added.code, 0, added.stdout)
      t.match(added.json.ips, [{ interface: -1 }, { interface: 70000 }], 'passed on as it is')
      const rules = await host.run('nft', 'list', 'ruleset')
      t.match(rules, /dnat to 10\.1\.2\.3:80/)
      // What ip6tables has made nft does not know how to print.
      if (backend === 'nftables') t.match(rules, /dnat to \[fd00::3\]:80/)
      const options = { netns: a.netns, command: 'DEL' }
      t.equal((await call(host, binDir(flavour), 'portmap', { ...conf, backend }, options)).code, 0)
    }
  })
}
