/** containerd and its CRI, as a node of Kubernetes has them, with our plugins below: as built, and as released. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { binDir, builtDir, type Flavour, type Json } from '../fixtures/cni'
import type { PrivateHost } from '../fixtures/private-host'
import { Containerd, containerdMissing } from './fixtures/containerd'
import type { CriPod } from './fixtures/cri'
import { cases, tracesOfPods } from './fixtures/networks'

/** Serves its name, and a file of a million bytes. */
const server =
  'mkdir -p /www; hostname >/www/name; dd if=/dev/zero of=/www/million bs=1000 count=1000; exec httpd -f -p 80 -h /www'

/** Asks a server for its name; it may still be starting. */
const askName = (address: string) =>
  `i=0; until wget -qO- http://${address}/name; do i=$((i+1)); [ $i -lt 50 ] || exit 1; sleep 0.1; done`

const fetchName = (host: PrivateHost, netns: string, address: string) =>
  host.run('ip', 'netns', 'exec', netns, 'sh', '-c', askName(address).replaceAll('wget', 'busybox wget'))

/** Seconds that `pod` needs to fetch a million bytes from `address`. */
const secondsToFetch = async (pod: CriPod, address: string): Promise<number> => {
  const { stdout } = await pod.sh(
    `read start _ </proc/uptime; wget -qO /dev/null http://${address}/million; read end _ </proc/uptime; echo $start $end`,
  )
  const [start, end] = stdout.trim().split(' ').map(Number)
  return Number(end) - Number(start)
}

/** A fresh folder with the release's tarball unpacked into it, as docs/install.md says. */
const unpacked = (t: Test, flavour: Flavour): string => {
  const folder = mkdtempSync(join(tmpdir(), 'kubenet-release-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const tarball = join(folder, 'kubenet-cni.tar.gz')
  const pack = join(__dirname, '../../scripts/pack')
  execFileSync(pack, ['tarball', builtDir(flavour), tarball], { env: { ...process.env, PACK_LEVEL: '1' } })
  const bin = join(folder, 'opt/cni/bin')
  mkdirSync(bin, { recursive: true })
  execFileSync('tar', ['-C', bin, '-xzf', tarball])
  return bin
}

for (const { flavour, name, conflist } of cases) {
  t.test(`[${flavour}] containerd with ${name}`, { skip: containerdMissing ?? false }, async t => {
    const plugins = name === 'kubenet' ? unpacked(t, flavour) : binDir(flavour)
    const containerd = await Containerd.start(t, plugins, conflist)
    const { host } = containerd
    const kubenet = join(plugins, 'kubenet')
    const network = conflist.name
    await host.uplink('outside', '192.0.2.1/24')
    await host.sh('ip -n outside addr add 192.0.2.9/24 dev eth0')
    let cri = containerd.cri()

    await t.test('the runtime finds its network ready', async t => {
      t.match(await cri.networkReady(), { status: true, message: '' })
    })

    // Both at the same time, as after a boot.
    const [one, two] = await Promise.all([
      cri.run(
        {
          name: 'one',
          ports: [{ containerPort: 80, hostPort: 8080 }],
          rates: { ingress: '8M', egress: '8M' },
        },
        server,
      ),
      cri.run({ name: 'two' }, server),
    ])
    const [ip = '', otherIP = ''] = [one.ips[0], two.ips[0]]

    await t.test('pods get addresses of the range, which the runtime tells', async t => {
      t.same([...one.ips, ...two.ips].sort(), ['10.244.1.2', '10.244.1.3'])
      const { stdout } = await one.sh('ip -o -4 addr show eth0')
      t.match(stdout, ` ${ip}/24 `)
    })

    await t.test('a pod reaches the gateway, the other pod and what is behind the node', async t => {
      for (const target of ['10.244.1.1', otherIP, '192.0.2.9']) {
        const { code, stdout } = await one.sh(`ping -c 1 -W 5 ${target}`)
        t.equal(code, 0, stdout)
      }
      t.equal((await two.sh(askName(ip))).stdout, 'one\n')
    })

    await t.test('the host port answers from outside', async t => {
      t.equal(await fetchName(host, 'outside', '192.0.2.1:8080'), 'one\n')
    })

    await t.test(
      'the command line finds both pods well, and takes the loopback of a pod for no network of it',
      async t => {
        const inspected = JSON.parse(await host.run(kubenet, 'inspect', '--json'))
        t.same(
          inspected.containers
            .map(({ network, ifName, pod, state }: Json) => [network, ifName, pod, state])
            .sort(),
          ['one', 'two'].map(pod => [network, 'eth0', `default/${pod}`, 'running']),
        )
        t.same(inspected.findings, [])
        const { lines } = JSON.parse(await host.sh(`CNI_PATH=${plugins} ${kubenet} doctor --json || true`))
        t.same(
          lines.filter(({ says }: Json) => /loopback|\blo\b/.test(says)),
          [],
        )
        t.notMatch(await host.sh(`${kubenet} why 127.0.0.1 || true`), /cni-loopback/)
      },
    )

    await t.test(
      '8 Mbit/s each way: a million bytes take a second, less the first burst of 100 ms',
      async t => {
        const egress = await secondsToFetch(two, ip)
        t.ok(egress > 0.8 && egress < 5, `out of the pod: ${egress} s`)
        const ingress = await secondsToFetch(one, otherIP)
        t.ok(ingress > 0.8 && ingress < 5, `into the pod: ${ingress} s`)
      },
    )

    await t.test(
      'a restart of containerd changes nothing for pods, and the next one gets the next address',
      async t => {
        await containerd.restart()
        cri = containerd.cri()
        const { status } = await cri.call('PodSandboxStatus', { pod_sandbox_id: one.id })
        t.match(status, { state: 'SANDBOX_READY', network: { ip } })
        t.equal(await fetchName(host, 'outside', '192.0.2.1:8080'), 'one\n')
        const three = await cri.run({ name: 'three' })
        t.same(three.ips, ['10.244.1.4'])
        t.equal((await three.sh(askName(ip))).stdout, 'one\n')
        await cri.remove(three)
      },
    )

    await t.test('removed pods leave nothing', async t => {
      t.match(await host.sh(tracesOfPods), /veth/)
      await Promise.all([cri.remove(one), cri.remove(two)])
      t.equal(await host.sh(tracesOfPods), '')
      t.equal(await containerd.log(), '')
    })
  })
}
