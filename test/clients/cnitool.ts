/** cnitool, the reference's own runtime, with our plugins below. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { binDir, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'
import { cases, tracesOfPods } from './fixtures/networks'

const cnitool = join(__dirname, '../../dist-tools/cnitool')

const skip = existsSync(cnitool) ? false : `${cnitool} is not there: scripts/cnitool builds it`

const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const capabilities = {
  portMappings,
  bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 },
}

for (const { flavour, name, conflist } of cases) {
  t.test(`[${flavour}] cnitool with ${name}`, { skip }, async t => {
    const host = await PrivateHost.create(t)
    await host.exec(['sh', '-ec', 'mkdir /run/net.d; cat > /run/net.d/10-pods.conflist'], {
      stdin: JSON.stringify(conflist),
    })
    const callBy = async (program: string, command: string, pod: string) => {
      const { code, stdout, stderr } = await host.exec([program, command, 'pods', `/run/netns/${pod}`], {
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          CNI_PATH: binDir(flavour),
          NETCONFPATH: '/run/net.d',
          CAP_ARGS: JSON.stringify(pod === 'one' ? capabilities : {}),
        },
      })
      return { code, output: stdout + stderr }
    }
    const call = (command: string, pod: string) => callBy(cnitool, command, pod)
    await host.netns('one')
    await host.netns('two')

    await t.test('add answers the addresses, and check agrees', async t => {
      for (const [pod, address] of Object.entries({ one: '10.244.1.2/24', two: '10.244.1.3/24' })) {
        const { code, output } = await call('add', pod)
        t.equal(code, 0, output)
        t.match((JSON.parse(output) as Json).ips, [{ address, gateway: '10.244.1.1' }])
        t.same(await call('check', pod), { code: 0, output: '' })
      }
    })

    await t.test('one pod reaches the other, and the host port leads to it', async t => {
      const { code } = await host.exec(['ip', 'netns', 'exec', 'one', 'ping', '-c1', '-W5', '10.244.1.3'])
      t.equal(code, 0)
      t.match(await host.sh(tracesOfPods), /10\.244\.1\.2[:. ]+80\b/)
    })

    await t.test('8 Mbit/s each way', async t => {
      const shapers = await host.sh("tc qdisc show | grep -c 'tbf.* rate 8Mbit'")
      t.equal(shapers.trim(), '2')
    })

    await t.test('del takes all of it back, and again finds nothing to do', async t => {
      for (const pod of ['one', 'two', 'one']) t.same(await call('del', pod), { code: 0, output: '' })
      t.equal(await host.sh(tracesOfPods), '')
    })

    await t.test(
      'one runtime checks and deletes what the other added, by the same cached result',
      async t => {
        const kubenet = `${binDir(flavour)}/kubenet`
        // Debian's cnitool is of libcni 1.1: later ones note the namespace, and leave an empty dns out.
        const cached = () =>
          host.sh(
            'cd /var/lib/cni/results; for i in *; do echo "$i"; jq -S "del(.netns, .result.dns)" "$i"; done',
          )
        // What each attachment has of its own.
        const alike = (text: string) =>
          text.replaceAll(/veth[0-9a-f]{8}|([0-9a-f]{2}:){5}[0-9a-f]{2}|10\.244\.1\.\d+/g, '-')
        const seen: string[] = []
        for (const [adds, deletes] of [
          [cnitool, kubenet],
          [kubenet, cnitool],
        ] as const) {
          const added = await callBy(adds, 'add', 'one')
          t.equal(added.code, 0, added.output)
          seen.push(alike(await cached()))
          t.equal((await callBy(deletes, 'check', 'one')).code, 0)
          const deleted = await callBy(deletes, 'del', 'one')
          t.equal(deleted.code, 0, deleted.output)
          t.equal(await host.sh(tracesOfPods), '')
        }
        t.equal(seen[0], seen[1], 'the cached results are alike')
        t.match(seen[0], /^pods-cnitool-[0-9a-f]{20}-eth0\n/)
        t.match(seen[0], '"hostPort": 8080')
      },
    )
  })
}
