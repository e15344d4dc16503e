/** /proc/sys is read-only in containers, and so for a runtime in one. What has the right value already is not written. */
import t from 'tap'
import { bridgeConf } from '../fixtures/bridge'
import { anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { kubenetConf, Node } from '../fixtures/kubenet'

const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const readOnly = 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys'
const prepared = `
  sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.route_localnet=1
  for key in iptables ip6tables; do
    [ ! -e /proc/sys/net/bridge/bridge-nf-call-$key ] || sysctl -qw net.bridge.bridge-nf-call-$key=1
  done
`

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] containers are connected where the values are right`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.sh(`${prepared}${readOnly}`)
    const options = { containerID: 'a', netns: await host.netns('a') }
    const isGateway = { isGateway: true, ipMasq: true }
    const bridged = await call(host, binDir(flavour), 'bridge', bridgeConf('dual', isGateway), options)
    t.equal(bridged.code, 0, bridged.stdout)
    for (const address of ['10.1.2.1', 'fd00:2::1'])
      await host.run('ip', 'netns', 'exec', 'a', 'ping', '-nc1', '-W2', address)
    for (const backend of ['iptables', 'nftables']) {
      const conf: Json = {
        ...{ cniVersion: '1.0.0', name: 'net', backend, runtimeConfig: { portMappings } },
        prevResult: bridged.json,
      }
      for (const command of ['ADD', 'CHECK', 'DEL']) {
        const { code, stdout } = await call(host, binDir(flavour), 'portmap', conf, { ...options, command })
        t.equal(code, 0, `portmap ${backend} ${command}: ${stdout}`)
      }
    }
    const conf = kubenetConf({ runtimeConfig: { portMappings } })
    const prevResult = await node.add('web', conf)
    for (const [command, more] of [
      ['CHECK', { prevResult }],
      ['DEL', {}],
      ['STATUS', {}],
    ] as const) {
      const { code, stdout } = await node.call(command, 'web', { ...conf, ...more })
      t.equal(code, 0, `kubenet ${command}: ${stdout}`)
    }
  })

  t.test(`[${flavour}] a value that is wrong is named, and nothing is left`, async t => {
    const node = await Node.create(t, flavour)
    const { host } = node
    await host.sh(`${prepared}sysctl -qw net.ipv4.ip_forward=0; ip link add br0 up type bridge; ${readOnly}`)
    const before = await host.snapshot()
    const options = { containerID: 'a', netns: await host.netns('a') }
    const conf = bridgeConf('v4', { isGateway: true })
    const { json } = await call(host, binDir(flavour), 'bridge', conf, options)
    t.match(json, { code: 999, msg: 'set sysctl net.ipv4.ip_forward to 1', details: /EROFS/ })
    // The gateway's address stays: another container may use it by then.
    await host.run('ip', 'addr', 'flush', 'dev', 'br0', 'scope', 'global')
    t.equal(await host.snapshot(), before)
  })
}
