import t from 'tap'
import { bridgeConf, hostWithPods, layer2Conf } from '../../fixtures/bridge'
import { flavours } from '../../fixtures/cni'

const conf = bridgeConf('v4', { isGateway: true, ipMasq: true, cniVersion: '1.1.0' })

for (const flavour of flavours) {
  t.test(`[${flavour}] STATUS says nothing when containers can be added, and changes nothing`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await host.sh('iptables -t nat -N x; iptables -t nat -X x; sysctl -qw net.ipv4.ip_forward=0')
    const before = await host.snapshot()
    for (const one of [conf, layer2Conf({ cniVersion: '1.1.0' })]) {
      const { code, stdout } = await a.call('STATUS', one, { containerID: '', netns: '', ifName: '' })
      t.same([code, stdout], [0, ''])
    }
    t.equal(await host.snapshot(), before)
    t.equal((await host.run('sysctl', '-n', 'net.ipv4.ip_forward')).trim(), '0')
  })

  t.test(`[${flavour}] STATUS answers 50 with the reason when they cannot`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const expect = async (msg: RegExp | string, more: object = {}, options: object = {}) => {
      const { code, json } = await a.call('STATUS', { ...conf, ...more }, options)
      t.equal(code, 1)
      t.match(json, { code: 50, msg, cniVersion: '1.1.0' })
    }
    await host.run('ip', 'link', 'add', 'br9', 'type', 'veth')
    await expect('bridge: "br9" already exists but is not a bridge', { bridge: 'br9' })
    await host.sh('mkdir /run/empty')
    const iptables = { ipMasqBackend: 'iptables' }
    // The node flavour's first line asks env for node.
    await host.sh(`ln -s ${process.execPath} /run/empty/node`)
    await expect('bridge: iptables-restore is not in PATH', iptables, { env: { PATH: '/run/empty' } })
    await host.sh('printf "#!/bin/sh\\necho no such table >&2; exit 3\\n" > /run/empty/iptables-save')
    await host.sh('chmod +x /run/empty/iptables-save; ln -s iptables-save /run/empty/iptables-restore')
    await expect('bridge: iptables cannot be used', iptables, { env: { PATH: '/run/empty' } })
    await expect(/^failed to find plugin "host-local" in path/, {}, { path: '/run/empty' })

    await host.sh('mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys')
    await expect('bridge: net.ipv4.ip_forward is 0 and cannot be set')
    await host.sh('umount /proc/sys')

    const small = { ...conf.ipam, ranges: [[{ subnet: '10.1.2.0/30' }]] }
    await a.add({ ...conf, ipam: small })
    await expect(/^host-local: no IP addresses available in range set/, { ipam: small })
  })

  t.test(`[${flavour}] STATUS asks for the packet filter that ADD would use`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    await host.sh(`mkdir /run/empty; ln -s ${process.execPath} /run/empty/node`)
    const without = { env: { PATH: '/run/empty' } }
    const cases = [{}, { ipMasqBackend: 'nftables' }, { ipMasq: false, macspoofchk: true }]
    for (const more of cases) {
      const { code, stdout } = await a.call('STATUS', { ...conf, ...more }, without)
      t.same([code, stdout], [0, ''], JSON.stringify(more))
    }
    t.equal(await host.run('nft', 'list', 'ruleset'), '', 'and changes nothing')
  })

  t.test(`[${flavour}] STATUS refuses what ADD would refuse`, async t => {
    const { pod } = await hostWithPods(t, flavour)
    const a = await pod('c1')
    const cases: [object, number][] = [
      [{ hairpinMode: true, promiscMode: true }, 7],
      [{ mtu: 12 }, 7],
      [{ bridge: 'a-name-that-is-too-long' }, 7],
      [{ vlan: 5000 }, 7],
    ]
    for (const [more, code] of cases) {
      const { json } = await a.call('STATUS', { ...conf, ...more })
      t.equal(json.code, code, JSON.stringify(more))
    }
  })

  t.test(`[${flavour}] bridgeNetfilter is left alone, turned on, or required`, async t => {
    const { host, pod } = await hostWithPods(t, flavour)
    const keys = ['net.bridge.bridge-nf-call-iptables', 'net.bridge.bridge-nf-call-ip6tables']
    const set = (value: number) => host.sh(keys.map(key => `sysctl -qw ${key}=${value}`).join('; '))
    const values = async () => (await host.run('sysctl', '-n', ...keys)).trim().split('\n')
    if ((await host.exec(['sysctl', ...keys])).code !== 0) {
      t.plan(0, 'this kernel has no br_netfilter')
      return
    }
    const [off, required, auto] = [await pod('c1'), await pod('c2'), await pod('c3')]
    await set(0)
    await off.add(conf)
    t.same(await values(), ['0', '0'])

    const strict = { ...conf, bridgeNetfilter: 'require' }
    const msg = 'bridged traffic does not pass iptables: net.bridge.bridge-nf-call-iptables is 0'
    const details = 'sysctl -w net.bridge.bridge-nf-call-iptables=1'
    t.match((await required.call('STATUS', strict)).json, { code: 50, msg, details })
    t.match((await required.call('ADD', strict)).json, { code: 999, msg, details })
    t.same(await values(), ['0', '0'])

    await auto.add({ ...conf, bridgeNetfilter: 'auto' })
    t.same(await values(), ['1', '1'])
    t.equal((await required.call('STATUS', strict)).code, 0)
    await required.add(strict)
  })
}
