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
    const call = async (command: string, pod: string): Promise<{ code: number; output: string }> => {
      const { code, stdout, stderr } = await host.exec([cnitool, command, 'pods', `/run/netns/${pod}`], {
        env: {
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
          CNI_PATH: binDir(flavour),
          NETCONFPATH: '/run/net.d',
          CAP_ARGS: JSON.stringify(pod === 'one' ? capabilities : {}),
        },
      })
      return { code, output: stdout + stderr }
    }
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
  })
}
