/** Podman with its CNI backend, as versions up to 4 have it, with our plugins below. */
import t from 'tap'
import { binDir, type Json } from '../fixtures/cni'
import { image } from './fixtures/cri'
import { cases, tracesOfPods } from './fixtures/networks'
import { Podman, podmanMissing } from './fixtures/podman'

const server = 'mkdir -p /www; hostname >/www/name; exec httpd -f -p 80 -h /www'

/** Asks a server for its name; it may still be starting. */
const askName = (address: string) =>
  `i=0; until busybox timeout 5 busybox wget -qO- http://${address}/name; do i=$((i+1)); [ $i -lt 8 ] || exit 1; sleep 0.5; done`

/** What podman gives its own networks: without it, a reload of the network comes without the host ports. */
const withIps = (conflist: Json): Json => ({
  ...conflist,
  plugins: conflist.plugins.map((plugin: Json, index: number) =>
    index === 0 ? { ...plugin, capabilities: { ...plugin.capabilities, ips: true } } : plugin,
  ),
})

for (const { flavour, name, conflist } of cases) {
  t.test(`[${flavour}] podman with ${name}`, { skip: podmanMissing ?? false }, async t => {
    const podman = await Podman.create(t, binDir(flavour), withIps(conflist))
    const { host } = podman
    const backend = (await podman.must('info', '--format', '{{.Host.NetworkBackend}}')).trim()
    if (backend !== 'cni') {
      t.pass(name, { skip: `this podman has only ${backend}, which calls no CNI plugins` })
      return
    }
    await host.uplink('outside', '192.0.2.1/24')
    await host.sh('ip -n outside addr add 192.0.2.9/24 dev eth0')

    await t.test('lists the network, whose plugins it asks for their version', async t => {
      t.match(
        await podman.must('network', 'ls', '--format', '{{.Name}} {{.Driver}}'),
        /^pods (bridge|kubenet)$/m,
      )
    })

    await t.test('containers get addresses of the range, which podman tells', async t => {
      await podman.start('one', ['--hostname', 'one', '-p', '8080:80', '-p', '5353:53/udp'], server)
      await podman.start('two', [], 'exec sleep 3600')
      const [one, two]: Json[] = JSON.parse(await podman.must('inspect', 'one', 'two'))
      t.match(one.NetworkSettings.Networks.pods, {
        IPAddress: '10.244.1.2',
        IPPrefixLen: 24,
        Gateway: '10.244.1.1',
      })
      t.equal(two.NetworkSettings.Networks.pods.IPAddress, '10.244.1.3')
      t.match(await podman.must('exec', 'two', 'ip', '-4', 'addr', 'show', 'eth0'), ' 10.244.1.3/24 ')
    })

    await t.test('one reaches the other, the gateway and what is behind the host', async t => {
      t.equal(await podman.must('exec', 'two', 'sh', '-c', askName('10.244.1.2')), 'one\n')
      for (const target of ['10.244.1.1', '192.0.2.9']) {
        await podman.must('exec', 'two', 'ping', '-c', '1', '-W', '5', target)
      }
    })

    const fromOutside = () =>
      host.run('ip', 'netns', 'exec', 'outside', 'sh', '-c', askName('192.0.2.1:8080'))

    await t.test('the host port answers from outside, also after a reload of the network', async t => {
      t.equal(await fromOutside(), 'one\n')
      await podman.must('network', 'reload', 'one')
      t.equal(await fromOutside(), 'one\n')
      const [one]: Json[] = JSON.parse(await podman.must('inspect', 'one'))
      t.equal(one.NetworkSettings.Networks.pods.IPAddress, '10.244.1.2')
    })

    await t.test('an address and a MAC that are asked for are had', async t => {
      await podman.start(
        'three',
        ['--ip', '10.244.1.77', '--mac-address', '02:00:00:00:00:77'],
        'exec sleep 3600',
      )
      const shown = await podman.must('exec', 'three', 'ip', 'addr', 'show', 'eth0')
      t.match(shown, ' 10.244.1.77/24 ')
      t.match(shown, 'link/ether 02:00:00:00:00:77 ')
    })

    await t.test('a host port that another has is refused, and the container is not started', async t => {
      const taken = await podman.call(
        'run',
        '-d',
        '--name',
        'rival',
        '--network',
        'pods',
        '-p',
        '8080:80',
        image,
      )
      t.not(taken.code, 0)
      t.match(taken.stderr, /8080/)
      await podman.must('rm', '-f', '-t', '0', 'rival')
      t.equal(await fromOutside(), 'one\n')
    })

    await t.test('removed containers leave nothing', async t => {
      t.match(await host.sh(tracesOfPods), /veth/)
      await podman.must('rm', '-f', '-t', '0', 'one', 'two', 'three')
      t.equal(await host.sh(tracesOfPods), '')
    })
  })
}
