/** `kubenet watch`: what others take from pods is back soon, and what a DEL takes stays away. */
import t, { type Test } from 'tap'
import { anyFlavour, binDir, type Json } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

/** A network of one plugin, and one of a chain with iptables. */
const networks: Record<string, Json> = {
  pods: {
    cniVersion: '1.1.0',
    name: 'pods',
    plugins: [
      {
        type: 'kubenet',
        bridge: 'br-pods',
        podCIDR: '10.244.1.0/24',
        capabilities: { portMappings: true, bandwidth: true },
      },
    ],
  },
  chain: {
    cniVersion: '1.1.0',
    name: 'chain',
    plugins: [
      {
        type: 'bridge',
        bridge: 'br-chain',
        isGateway: true,
        ipMasq: true,
        ipMasqBackend: 'iptables',
        ipam: { type: 'host-local', subnet: '10.66.0.0/24' },
      },
      { type: 'portmap', backend: 'iptables', capabilities: { portMappings: true } },
    ],
  },
}

const portOf = (hostPort: number) => ({ portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] })

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] kubenet watch`, async t => {
    const host = await PrivateHost.create(t)
    await host.uplink('wan', '192.0.2.1/24')
    const folder = binDir(flavour)
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: folder, NETCONFPATH: '/run/net.d' }
    const kubenet = async (args: readonly string[], capabilities: Json = {}) => {
      const said = await host.exec([`${folder}/kubenet`, ...args], {
        env: {
          ...env,
          CAP_ARGS: JSON.stringify(capabilities),
          CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
        },
      })
      t.equal(said.code, 0, `${args[0]}: ${said.stderr}`)
    }
    await host.sh('mkdir /run/net.d')
    for (const [name, list] of Object.entries(networks)) {
      await host.exec(['sh', '-c', `cat > /run/net.d/${name}.conflist`], { stdin: JSON.stringify(list) })
    }
    for (const name of ['a', 'b', 'c', 'd']) await host.netns(name)
    const rate = { bandwidth: { ingressRate: 8_000_000, ingressBurst: 800_000 } }
    await kubenet(['add', 'pods', '/run/netns/a'], { ...portOf(8080), ...rate })
    await kubenet(['add', 'pods', '/run/netns/b'])
    await kubenet(['add', 'chain', '/run/netns/c'], portOf(9090))

    await host.sh(`
      CNI_PATH=${folder} NETCONFPATH=/run/net.d setsid sh -c '
        ${folder}/kubenet watch & echo $! > /run/watch.pid; wait $!; echo "ended with $?"' < /dev/null > /run/watch.log 2>&1 &`)
    const end = 'kill "$(cat /run/watch.pid)"'
    t.teardown(() => host.sh(`${end} 2> /dev/null || true`))
    const untilSaid = (pattern: string) =>
      host.sh(`until grep -qE '${pattern}' /run/watch.log; do sleep 0.05; done`)
    await untilSaid('watching the networks of /run/net.d')
    const whole = await host.snapshot()
    const isBack = async (t: Test) => {
      const deadline = performance.now() + 60_000
      let now = await host.snapshot()
      while (now !== whole && performance.now() < deadline) now = await host.snapshot()
      t.equal(now, whole, 'all is as it was')
    }

    await t.test('all rules, by "nft flush ruleset"', async t => {
      await host.sh('nft flush ruleset')
      await isBack(t)
    })

    await t.test('all rules again, while the first round may not have ended', async t => {
      await host.sh('nft flush ruleset')
      await isBack(t)
    })

    await t.test("a chain's rules, by a firewall that flushes iptables", async t => {
      await host.sh('iptables -t nat -F; iptables -t nat -X')
      await isBack(t)
    })

    await t.test('one element of a set', async t => {
      await host.sh('nft delete element inet kubenet pods4-pods "{ 10.244.1.2 }"')
      await isBack(t)
    })

    await t.test('a port of the bridge, by a network manager', async t => {
      const port = (await host.sh("ip -j link show master br-pods | jq -r '.[0].ifname'")).trim()
      await host.sh(`ip link set ${port} nomaster`)
      await isBack(t)
    })

    await t.test("the bridge's address", async t => {
      await host.sh('ip addr del 10.244.1.1/24 dev br-pods')
      await isBack(t)
    })

    await t.test('forwarding, by sysctl', async () => {
      await host.sh(`
        sysctl -qw net.ipv4.ip_forward=0
        until [ "$(sysctl -n net.ipv4.ip_forward)" = 1 ]; do sleep 0.05; done`)
    })

    await t.test('objects removed by a DEL stay away', async t => {
      await kubenet(['del', 'pods', '/run/netns/b'])
      await kubenet(['del', 'chain', '/run/netns/c'])
      await kubenet(['add', 'chain', '/run/netns/d'], portOf(9091))
      // A round says what it did when it is sure that no DEL was under way.
      await host.sh(`
        rounds() { grep -c 'in network "pods": rebuilt:' /run/watch.log; }
        before=$(rounds); nft delete table inet kubenet
        until [ "$(rounds)" -gt "$before" ]; do sleep 0.05; done`)
      const rules = await host.sh('nft -s list ruleset; iptables-save')
      t.notMatch(rules, /10\.244\.1\.3|:9090|10\.66\.0\.2\b/)
      t.match(rules, /9091/)
      t.match(await host.sh('cat /run/watch.log'), /\(pod default\/web\) in network "pods": rebuilt: /)
    })

    await t.test('told to end, it ends, and takes nothing with it', async t => {
      const before = await host.snapshot()
      await host.sh(end)
      await untilSaid('^ended with 0$')
      t.equal(await host.snapshot(), before)
    })
  })
}
