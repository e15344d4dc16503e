/** An address stays leased as long as host ports of ours may lead to it, whichever call wants it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { type Answer, anyFlavour, binDir, call, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const path = '/usr/sbin:/usr/bin:/sbin:/bin'
const backends = ['iptables', 'nftables'] as const
type Backend = (typeof backends)[number]

const bridgeConf = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'bridge',
  bridge: 'br0',
  isGateway: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.55.0.0/29' }], [{ subnet: 'fd00:55::/64' }]] },
}

const portmapConf = (backend: Backend, hostPort?: number): Json => ({
  cniVersion: '1.1.0',
  name: 'net',
  type: 'portmap',
  backend,
  ...(hostPort && { runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] } }),
})

/** A host, and its plugins as another runtime calls them. */
class Node {
  readonly host: PrivateHost
  readonly folder: string
  readonly backend: Backend

  constructor(host: PrivateHost, folder: string, backend: Backend) {
    this.host = host
    this.folder = folder
    this.backend = backend
  }

  call(plugin: string, command: string, conf: Json, containerID = ''): Promise<Answer> {
    const netns = containerID && command === 'ADD' ? `/run/netns/${containerID}` : ''
    return call(this.host, this.folder, plugin, conf, { command, containerID, netns })
  }

  async add(containerID: string, hostPort?: number): Promise<Answer> {
    await this.host.netns(containerID)
    const added = await this.call('bridge', 'ADD', bridgeConf, containerID)
    if (!hostPort || added.code !== 0) return added
    const conf = { ...portmapConf(this.backend, hostPort), prevResult: added.json }
    return this.call('portmap', 'ADD', conf, containerID)
  }

  /** A container ends without a DEL; it was made before this boot, as far as its record tells. */
  async end(containerID: string): Promise<void> {
    await this.host.sh(`ip netns del ${containerID}
      while ip -o link show type veth | grep -q 'cni net ${containerID} '; do sleep 0.05; done
      sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' $(grep -l '"${containerID}"' -r /var/lib/cni/networks/.kubenet)`)
  }

  /** The containers that have leases, each once. */
  async holders(): Promise<string> {
    const words = `cat /var/lib/cni/networks/net/[0-9f]*[.:]* | tr '\\r' '\\n' | grep -o 'c[0-9]' | sort -u`
    return (await this.host.sh(words)).replaceAll('\n', ' ').trim()
  }

  /** Where host port 8080 leads to, as far as rules tell. */
  rules(): Promise<string> {
    return this.host.sh(
      `{ iptables-save; ip6tables-save; nft list ruleset 2> /dev/null; } | grep -E 'DNAT|dnat' | grep -F 8080 || true`,
    )
  }

  /** Another process holds the lock of the host ports while `work` runs. */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    const [program = '', ...args] = [
      ...this.host.enter,
      ...['flock', '/run/kubenet-cni/hostports/lock', 'sh', '-c', 'echo; exec cat'],
    ]
    const holder = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(holder.stdout, 'data')
    try {
      return await work()
    } finally {
      holder.stdin.end()
      await once(holder, 'exit')
    }
  }
}

const testReclaim = async (t: Test, node: Node) => {
  t.equal((await node.add('c1', 8080)).code, 0)
  for (const id of ['c2', 'c3', 'c4', 'c5']) t.equal((await node.add(id)).code, 0)
  await node.end('c1')
  const late = await node.add('c6')
  t.match(late.json, { code: 11, msg: /no IP addresses available/ })
  t.match(
    late.json.details,
    '1 of their containers have host ports and keep their addresses until these are closed',
  )
  t.equal(await node.holders(), 'c1 c2 c3 c4 c5')
  t.match((await node.call('host-local', 'STATUS', bridgeConf)).json, { code: 50 }, 'STATUS agrees')
  t.not(await node.rules(), '', 'its rules are there')

  t.equal((await node.call('portmap', 'DEL', portmapConf(node.backend), 'c1')).stdout, '')
  t.equal(await node.rules(), '')
  t.equal((await node.call('host-local', 'STATUS', bridgeConf)).stdout, '')
  await node.host.sh('ip netns del c6')
  t.equal((await node.add('c6')).json.ips?.[0].address, '10.55.0.2/29', 'without them it is given out')
  t.equal(await node.holders(), 'c2 c3 c4 c5 c6')
}

/** A runtime calls GC in the order of the list: bridge, with its IPAM plugin, before portmap. */
const testGc = async (t: Test, node: Node) => {
  t.equal((await node.add('c1', 8080)).code, 0)
  t.equal((await node.add('c2')).code, 0)
  await node.end('c1')
  const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c2', ifname: 'eth0' }] }
  const failed = await node.locked(() => node.call('bridge', 'GC', { ...bridgeConf, ...valid }))
  t.match(failed.json, { code: 11, msg: /timed out waiting for the lock/ })
  t.equal(await node.holders(), 'c1 c2', 'whose ports are not given back keeps the address')
  t.equal((await node.call('bridge', 'GC', { ...bridgeConf, ...valid })).stdout, '')
  t.equal(await node.rules(), '', 'the rules are gone before portmap’s turn')
  t.equal(await node.holders(), 'c2')
  t.equal((await node.call('portmap', 'GC', { ...portmapConf(node.backend), ...valid })).stdout, '')
}

/** Our runtime goes on where a plugin's DEL fails, but not to those who give addresses back. */
const testDel = async (t: Test, node: Node) => {
  const { name, cniVersion, ...bridge } = bridgeConf
  const plugins = [bridge, { type: 'portmap', backend: node.backend, capabilities: { portMappings: true } }]
  await node.host.sh(`mkdir -p /run/net.d; cat > /run/net.d/net.conflist << 'END'
${JSON.stringify({ cniVersion, name, plugins })}
END`)
  await node.host.netns('c1')
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
  const kubenet = (verb: string) =>
    node.host.exec([`${node.folder}/kubenet`, verb, 'net', '/run/netns/c1', '--container-id', 'c1'], {
      env: {
        ...{ PATH: path, CNI_PATH: node.folder, NETCONFPATH: '/run/net.d' },
        CAP_ARGS: JSON.stringify({ portMappings }),
      },
    })
  t.equal((await kubenet('add')).code, 0)
  const failed = await node.locked(() => kubenet('del'))
  t.equal(failed.code === 0, false)
  t.match(failed.stdout + failed.stderr, /timed out waiting for the lock/)
  t.equal(await node.holders(), 'c1', 'the address stays leased')
  t.equal((await kubenet('del')).code, 0)
  t.equal(await node.host.sh('ls /var/lib/cni/networks/net | grep -c -e "^10" -e "^fd" || true'), '0\n')
  t.equal(await node.rules(), '')
}

for (const flavour of anyFlavour) {
  for (const backend of backends) {
    t.test(`[${flavour}] ${backend}: an address to which host ports lead`, async t => {
      const testing = (title: string, work: (t: Test, node: Node) => Promise<void>) =>
        t.test(title, async t => {
          const host = await PrivateHost.create(t)
          await work(t, new Node(host, binDir(flavour), backend))
        })
      await testing('is not reclaimed for another container', testReclaim)
      await testing('is not freed by a GC before them', testGc)
      await testing('is not freed by a DEL that could not remove them', testDel)
    })
  }
}
