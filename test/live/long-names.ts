/** The specification has no limit for the names of networks and containers; the kernel has some for texts that have them. */
import t from 'tap'
import { anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'
import { linkVariants } from '../plugins/portmap/fixtures/port-host'

const network = 'n'.repeat(240)
const containerIDs = ['a'.repeat(64), 'b'.repeat(300)]

const ports = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] }
const limit = { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 }
const bridge = {
  type: 'bridge',
  bridge: 'br0',
  isGateway: true,
  macspoofchk: true,
  ipam: { type: 'host-local', subnet: '10.31.0.0/24' },
}

const chains: Record<string, Json[]> = {
  'the chain with iptables': [
    { ...bridge, ipMasq: true, ipMasqBackend: 'iptables' },
    { type: 'portmap', backend: 'iptables', runtimeConfig: ports },
    { type: 'bandwidth', runtimeConfig: { bandwidth: limit } },
  ],
  'the chain with nftables': [
    { ...bridge, ipMasq: true, ipMasqBackend: 'nftables' },
    { type: 'portmap', backend: 'nftables', runtimeConfig: ports },
  ],
  kubenet: [{ type: 'kubenet', podCIDR: '10.31.0.0/24', runtimeConfig: { ...ports, bandwidth: limit } }],
}

for (const [name, links] of Object.entries(chains)) {
  t.test(name, async t => {
    const host = await PrivateHost.create(t)
    await host.sh(`${linkVariants} sysctl -qw net.ipv4.ip_forward=1`)
    const folder = binDir(anyFlavour[0] ?? 'standalone')
    for (const containerID of containerIDs) {
      await host.netns(`c${containerID.length}`)
      const netns = `/run/netns/c${containerID.length}`
      const must = async (command: string, link: Json, more: Json, ifName: string): Promise<Json> => {
        const conf = { cniVersion: '1.1.0', name: network, ...link, ...more }
        const options = { command, containerID, netns, ifName }
        const answer = await call(host, folder, link.type, conf, options)
        t.equal(answer.code, 0, `${command} of ${link.type}, ${ifName}: ${answer.stdout}`)
        return answer.json
      }
      const ifNames = ['eth0', 'eth1']
      const results = new Map<string, Json>()
      for (const ifName of ifNames) {
        let prevResult: Json
        for (const link of links) prevResult = await must('ADD', link, prevResult && { prevResult }, ifName)
        results.set(ifName, prevResult)
      }
      const going = results.get('eth0')
      for (const link of links.toReversed()) await must('DEL', link, { prevResult: going }, 'eth0')
      for (const link of links) await must('CHECK', link, { prevResult: results.get('eth1') }, 'eth1')
      const valid = { 'cni.dev/valid-attachments': [{ containerID, ifname: 'eth1' }] }
      for (const link of links) await must('GC', link, valid, 'eth1')
      for (const link of links) await must('CHECK', link, { prevResult: results.get('eth1') }, 'eth1')
      for (const link of links) await must('GC', link, { 'cni.dev/valid-attachments': [] }, 'eth1')
      const left = await host.sh('nft list ruleset 2>/dev/null; ip -br link')
      t.notMatch(left, /veth[0-9a-f]{8}|bwp[0-9a-f]|10\.31\.0\.[2-9][^0-9]/, 'GC finds all of it')
    }
  })
}
