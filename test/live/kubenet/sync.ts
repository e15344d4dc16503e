/** kubenet sync: what a firewall reload or a network manager took comes back from the records. */
import t from 'tap'
import { flavours, type Json } from '../../fixtures/cni'
import { dualCIDRs, kubenetConf, Node } from '../../fixtures/kubenet'
import type { Output } from '../../fixtures/private-host'
import { ask, serve } from '../../fixtures/traffic'

const kubenetList = { cniVersion: '1.1.0', name: 'pods', plugins: [withCapabilities(kubenetConf())] }

function withCapabilities(conf: Json): Json {
  return { ...conf, capabilities: { portMappings: true, bandwidth: true } }
}

const chain = (backend: string): Json => ({
  cniVersion: '1.0.0',
  name: 'pods',
  plugins: [
    {
      type: 'bridge',
      isDefaultGateway: true,
      ipMasq: true,
      hairpinMode: true,
      ipam: { type: 'host-local', ranges: dualCIDRs.map(subnet => [{ subnet }]) },
    },
    { type: 'portmap', backend, capabilities: { portMappings: true } },
    { type: 'bandwidth', capabilities: { bandwidth: true } },
  ],
})

const networks: [string, Json][] = [
  ['kubenet', kubenetList],
  [
    'kubenet with iptables',
    { ...kubenetList, plugins: [withCapabilities(kubenetConf({ backend: 'iptables' }))] },
  ],
  ['bridge, portmap with iptables and bandwidth', chain('iptables')],
  ['bridge, portmap with nftables and bandwidth', chain('nftables')],
]

const limits = {
  ingressRate: 80_000_000,
  ingressBurst: 8_000_000,
  egressRate: 80_000_000,
  egressBurst: 8_000_000,
}

const capabilityArgs = (hostPort: number) => ({
  portMappings: [
    { hostPort, containerPort: 80, protocol: 'tcp' },
    { hostPort, containerPort: 80, protocol: 'udp' },
  ],
  bandwidth: limits,
})

/** The command on a node whose networks are in /run/net.d. */
const kubenet = (node: Node, args: readonly string[], env: Record<string, string> = {}): Promise<Output> =>
  node.host.exec([`${node.folder}/kubenet`, ...args], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', NETCONFPATH: '/run/net.d', CNI_PATH: node.folder, ...env },
  })

const sync = async (node: Node, ...args: string[]): Promise<Json> => {
  const { code, stdout, stderr } = await kubenet(node, ['sync', '--json', ...args])
  if (code !== 0) throw new Error(`sync: ${stderr}${stdout}`)
  return JSON.parse(stdout)
}

const writeList = (node: Node, list: Json) =>
  node.host.exec(['sh', '-c', 'mkdir -p /run/net.d; cat > /run/net.d/10-pods.conflist'], {
    stdin: JSON.stringify(list),
  })

for (const flavour of flavours) {
  for (const [title, list] of flavour === 'node' ? networks.slice(3) : networks) {
    t.test(`[${flavour}] ${title}`, async t => {
      const node = await Node.create(t, flavour)
      const { host } = node
      await writeList(node, list)
      const veths = new Map<string, string>()
      for (const [i, name] of ['web', 'other'].entries()) {
        await host.netns(name)
        const added = await kubenet(node, ['add', 'pods', `/run/netns/${name}`, '--json'], {
          CAP_ARGS: JSON.stringify(capabilityArgs(8080 + i)),
        })
        t.equal(added.code, 0, added.stderr)
        const links = await host.json<Json[]>('ip', '-d', 'link', 'show', 'type', 'veth')
        const veth = links.find(
          ({ ifname, master }) => master === 'cbr0' && ![...veths.values()].includes(ifname),
        )
        veths.set(name, veth.ifname)
      }
      const port = (portNumber: number) => ({ protocol: 'tcp' as const, host: '192.0.2.1', port: portNumber })
      const endpoints = [{ protocol: 'tcp' as const, host: '10.244.1.2', port: 80 }]
      await serve(t, host, 'web', endpoints)
      const flows = async () => {
        const seen = await ask(host, 'outside', { port: port(8080) })
        await node.inPod('web', 'ping -nq -c1 -W2 10.244.1.3; ping -nq -c1 -W2 fd00:244:1::1')
        return seen.port
      }
      const reached = { from: '192.0.2.9', on: '10.244.1.2:80' }
      t.same(await flows(), reached)
      const before = await host.snapshot()
      const states = ({ attachments }: Json) => attachments.map(({ state }: Json) => state)

      await t.test('leaves a node alone on which nothing is missing', async t => {
        const { attachments } = await sync(node)
        t.same(
          attachments.map(({ network, ifName, state, changes, failures }: Json) => [
            network,
            ifName,
            state,
            changes,
            failures,
          ]),
          [
            ['pods', 'eth0', 'whole', [], []],
            ['pods', 'eth0', 'whole', [], []],
          ],
        )
        t.equal(await host.snapshot(), before)
      })

      const damages: [string, string][] = [
        ['nft flush ruleset', 'nft flush ruleset'],
        ['a port off the bridge', `ip link set ${veths.get('web')} nomaster`],
        [
          'the addresses of the bridge',
          'ip addr del 10.244.1.1/24 dev cbr0; ip addr del fd00:244:1::1/64 dev cbr0',
        ],
        ['a port that is down', `ip link set ${veths.get('other')} down`],
        ['a rate', `tc qdisc del dev ${veths.get('web')} root`],
        ['the bridge', 'ip link del cbr0'],
      ]
      // The full round once: the others differ in whose rules and ports these are.
      const some = title === 'kubenet' ? damages : damages.filter(([what]) => /ruleset|a rate/.test(what))
      for (const [what, script] of some) {
        await t.test(`brings back ${what}`, async t => {
          await host.sh(script)
          const damaged = await host.snapshot()
          const dry = await sync(node, '--dry-run')
          t.ok(states(dry).includes('rebuilt'), 'a dry run says what is missing')
          t.equal(await host.snapshot(), damaged, 'and changes nothing')
          const { attachments } = await sync(node)
          t.ok(
            attachments.some(({ changes }: Json) => changes.length > 0),
            JSON.stringify(attachments),
          )
          t.equal(await host.snapshot(), before)
          t.same(states(await sync(node)), ['whole', 'whole'], 'a second sync changes nothing')
          t.same(await flows(), reached)
        })
      }

      if (title === 'kubenet')
        await t.test('goes on where the lock is not to be had for all pods together', async t => {
          await host.sh(`
            lock=$(find /var/lib/cni /run -path '*/.kubenet/lock' 2>/dev/null | head -n1); nft flush ruleset
            flock "$lock" sleep 5.7 > /dev/null 2>&1 & until ! flock -n "$lock" true; do sleep 0.01; done`)
          t.same(states(await sync(node)), ['rebuilt', 'rebuilt'])
          t.equal(await host.snapshot(), before)
        })

      await t.test('rebuilds nothing for a container that is gone', async t => {
        await host.sh('ip netns del other; nft flush ruleset')
        t.same(states(await sync(node)), ['rebuilt', 'gone'])
        t.notMatch(await host.sh('nft -s list ruleset'), /10\.244\.1\.3/)
        const text = await kubenet(node, ['sync'])
        t.match(
          text.stdout,
          /^pods \S+ eth0: as it was\npods \S+ eth0: gone; "kubenet gc" shows what is left\n$/,
        )
      })
    })
  }

  t.test(`[${flavour}] sync of a network that is not there exits 3`, async t => {
    const node = await Node.create(t, flavour)
    await writeList(node, kubenetList)
    t.match(await kubenet(node, ['sync', 'none']), { code: 3, stderr: /no network "none"/ })
    t.match(await kubenet(node, ['sync']), { code: 0, stdout: 'no attachment is recorded\n' })
  })
}
