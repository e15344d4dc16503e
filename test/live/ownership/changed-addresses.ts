/** A container that gives itself other addresses: DEL removes all that was made for those it had from ADD. */
import t from 'tap'
import { anyFlavour, binDir, call, type Json } from '../../fixtures/cni'
import { kubenetConf } from '../../fixtures/kubenet'
import { PrivateHost } from '../../fixtures/private-host'

const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]]

const bridgeConf = (ipMasqBackend: string): Json => ({
  ...{ cniVersion: '1.1.0', name: 'pods', type: 'bridge', bridge: 'br0', isGateway: true, ipMasq: true },
  ipMasqBackend,
  ipam: { type: 'host-local', ranges },
})

const ports = {
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
}

/** A plugin, its configuration, and words that its rules for the container's address have. */
const networks: readonly (readonly [plugin: string, backend: string, conf: Json])[] = [
  ['bridge', 'iptables', bridgeConf('iptables')],
  ['bridge', 'nftables', bridgeConf('nftables')],
  ['kubenet', 'nftables', kubenetConf(ports)],
  ['kubenet', 'iptables', kubenetConf({ ...ports, backend: 'iptables' })],
]

/** What a container with CAP_NET_ADMIN in its own namespace may do. */
const changes = {
  'other addresses': `ip -n c1 addr flush dev eth0 scope global
    ip -n c1 addr add 10.1.2.77/24 dev eth0; ip -n c1 addr add 10.244.1.77/24 dev eth0
    ip -n c1 addr add fd00:2::77/64 dev eth0 nodad; ip -n c1 addr add fd00:244:1::77/64 dev eth0 nodad`,
  'no address': 'ip -n c1 addr flush dev eth0 scope global',
  'one address more': `ip -n c1 addr add 10.1.2.77/24 dev eth0; ip -n c1 addr add fd00:2::77/64 dev eth0 nodad`,
}

/** All rules, chains and elements that name an address of a container, the container or its host port. */
const traces = (host: PrivateHost): Promise<string> =>
  host.sh(
    `{ iptables-save; ip6tables-save; nft list ruleset 2> /dev/null; } |
      grep -E 'c1|CNI-[0-9a-f]|10[.](1[.]2|244[.]1)[.][0-9]+|fd00:(2|244:1)::[0-9]+' | sed 's/[[][0-9]*:[0-9]*[]]//' || true`,
  )

for (const flavour of anyFlavour) {
  for (const [plugin, backend, conf] of networks) {
    t.test(`[${flavour}] ${plugin}, ${backend}: a container that changed its addresses`, async t => {
      const host = await PrivateHost.create(t)
      const run = (command: string, given: Json) =>
        call(host, binDir(flavour), plugin, given, { command, netns: '/run/netns/c1' })
      await host.netns('c1')
      // What all containers share stays.
      await run('ADD', conf)
      await run('DEL', conf)
      const before = await traces(host)
      for (const [title, change] of Object.entries(changes)) {
        for (const withResult of [true, false]) {
          const prevResult = (await run('ADD', conf)).json
          t.match(prevResult, { ips: Array }, `${title}: ADD`)
          t.not(await traces(host), before, `${title}: there are rules of it`)
          await host.sh(change)
          const { code, stdout } = await run('DEL', withResult ? { ...conf, prevResult } : conf)
          t.equal(code, 0, `${title}: ${stdout}`)
          t.equal(await traces(host), before, `${title}, ${withResult ? 'with' : 'without'} prevResult`)
          t.equal(
            await host.sh(
              `find /var/lib/cni/networks -name '10.*' -o -name 'fd00*' | grep -v '[.]1$' || true`,
            ),
            '',
            `${title}: no lease is left`,
          )
        }
      }
    })
  }
}
