/** `kubenet uninstall --purge`: a node after it is the node before `kubenet install`. */
import t from 'tap'
import { binDir, flavours, type Json, plugin } from '../../fixtures/cni'
import { PrivateHost } from '../../fixtures/private-host'

const folder = '/run/cni/bin'
const confDir = '/run/cni/net.d'

/** A chain with all that the plugins make, by both backends. */
const chain = (backend: 'iptables' | 'nftables') => ({
  cniVersion: '1.0.0',
  name: `by-${backend}`,
  plugins: [
    {
      type: 'bridge',
      bridge: `br-${backend}`,
      isGateway: true,
      ipMasq: true,
      ipMasqBackend: backend,
      macspoofchk: true,
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.91.0.0/24' }]] },
    },
    {
      type: 'portmap',
      backend,
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    },
    { type: 'bandwidth', ingressRate: 8000000, ingressBurst: 80000, egressRate: 8000000, egressBurst: 80000 },
  ],
})

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet uninstall --purge`, async t => {
    const host = await PrivateHost.create(t)
    const first = `${binDir(flavour)}/kubenet`
    const kubenet = (...args: string[]) =>
      host.exec([first, ...args], {
        env: { PATH: process.env.PATH ?? '', NETCONFPATH: confDir, CNI_PATH: folder },
      })
    const install = (...args: string[]) =>
      kubenet('install', '--bin-dir', folder, '--conf-dir', confDir, ...args)
    const purge = (...args: string[]) =>
      kubenet('uninstall', '--bin-dir', folder, '--conf-dir', confDir, '--purge', ...args)
    const sysctls = () =>
      host.sh('cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding 2>/dev/null')
    const files = () =>
      host.sh(`find ${folder} ${confDir} /run/kubenet-cni /var/lib/cni -type f 2>/dev/null || true`)
    const withConf = async (conf: Json, work: () => Promise<void>) => {
      await host.sh(`mkdir -p ${confDir}; echo '${JSON.stringify(conf)}' > ${confDir}/50-chain.conflist`)
      await work()
      await host.sh(`rm ${confDir}/50-chain.conflist`)
    }
    // The table nat of iptables stays when it is empty, so it is there before.
    await host.sh(`
      echo 0 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
      for program in iptables ip6tables; do
        for table in nat filter; do $program -t $table -N X; $program -t $table -X X; done
        for chain in PREROUTING OUTPUT POSTROUTING INPUT; do
          $program -t nat -A $chain -j ACCEPT; $program -t nat -F $chain; done
        for chain in INPUT FORWARD; do $program -A $chain -j ACCEPT; $program -F $chain; done
      done`)
    const before = await host.snapshot()
    const off = await sysctls()

    await t.test('while a pod is attached it does nothing, and names the pod', async t => {
      await install('--pod-cidr', '10.90.0.0/24,fd00:90::/64')
      const netns = await host.netns('pod')
      const env = { CAP_ARGS: '{"portMappings":[{"hostPort":8081,"containerPort":80,"protocol":"tcp"}]}' }
      const added = await host.exec(
        [first, 'add', 'kubenet', netns, '--cni-conf-dir', confDir, '--cni-bin-dir', folder],
        {
          env: {
            ...env,
            CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
            PATH: process.env.PATH ?? '',
          },
        },
      )
      t.equal(added.code, 0, added.stderr)
      const there = await host.snapshot()
      for (const args of [[], ['--force']]) {
        const { code, stdout, stderr } = await purge(...args)
        t.same([code, stdout], [1, ''])
        t.match(
          stderr,
          /^kubenet: uninstall: nothing is purged: 1 containers may be attached: [^\n]*default\/web[^\n]*; delete them first; [^\n]*\n$/,
        )
      }
      t.equal(await host.snapshot(), there)
      t.equal((await kubenet('check', 'kubenet', netns)).code, 0)
      t.equal((await kubenet('del', 'kubenet', netns)).code, 0)
    })

    for (const args of [[], ['--force']]) {
      await t.test(`an unknown veth may be a running pod's, whose rules stay: ${args.join()}`, async t => {
        await install('--pod-cidr', '10.90.0.0/24,fd00:90::/64')
        // As the reference leaves a pod whose lease and result are lost: nothing but its rules tell of it.
        await host.netns('lost')
        await host.sh(`
          ip link add cni7 type bridge
          ip link add veth77 type veth peer name eth0 netns lost; ip link set veth77 master cni7
          iptables -t nat -N CNI-0123456789abcdef01234567
          iptables -t nat -A CNI-0123456789abcdef01234567 -d 10.97.0.0/24 -j ACCEPT \
            -m comment --comment 'name: "lost" id: "0123456789abcdef"'
          iptables -t nat -A POSTROUTING -s 10.97.0.5/32 -j CNI-0123456789abcdef01234567 \
            -m comment --comment 'name: "lost" id: "0123456789abcdef"'`)
        const there = await host.snapshot()
        const { code, stdout, stderr } = await purge(...args)
        t.same([code, stdout], [1, ''])
        if (args.length > 0)
          t.equal(
            stderr,
            'kubenet: uninstall: nothing is purged: the owner of veth veth77 on bridge "cni7" is not known, and may run; delete its container; "ip link del" if it has none\n',
          )
        t.equal(await host.snapshot(), there)
        await host.sh(`
          ip netns del lost; ip link del cni7
          iptables -t nat -F POSTROUTING; iptables -t nat -F CNI-0123456789abcdef01234567
          iptables -t nat -X CNI-0123456789abcdef01234567`)
      })
    }

    await t.test('while kubenet-agent runs it does nothing', async t => {
      const there = await files()
      await host.sh(
        'cp $(command -v sleep) /run/kubenet-agent; /run/kubenet-agent 60 > /dev/null 2>&1 & echo $! > /run/pid',
      )
      for (const args of [[], ['--force']])
        t.match(await purge(...args), {
          code: 1,
          stderr:
            /: nothing is purged: kubenet-agent runs \(process \d+\), [^\n]+; delete the DaemonSet, or stop/,
        })
      t.equal(await files(), there)
      await host.sh('kill $(cat /run/pid); rm /run/kubenet-agent /run/pid')
    })

    await t.test('it removes bridge, rules, sysctls, leases, records and programs', async t => {
      const { code, stdout, stderr } = await purge('--json')
      t.same([code, stderr], [0, ''])
      const { purged } = JSON.parse(stdout) as Json
      t.same([purged.kept, purged.failed], [[], []])
      for (const what of [
        'table "inet kubenet"',
        'bridge "cbr0"',
        'sysctl net.ipv4.ip_forward, set back to 0',
        'the leases in /var/lib/cni/networks/kubenet',
        `${confDir}/10-kubenet.conflist`,
        '/run/kubenet-cni',
      ])
        t.ok(purged.removed.includes(what), what)
      t.equal(await host.snapshot(), before)
      t.equal(await sysctls(), off)
      t.equal(await files(), '')
    })

    for (const backend of ['iptables', 'nftables'] as const) {
      await t.test(`a chain of plugins with ${backend}, of which a container ended without DEL`, async t => {
        await install()
        await withConf(chain(backend), async () => {
          const netns = await host.netns(`c-${backend}`)
          const added = await kubenet('add', `by-${backend}`, netns)
          t.equal(added.code, 0, added.stderr)
          await host.sh(`
            ip netns del c-${backend}; while ip -o link show type veth | grep -q .; do sleep 0.02; done`)
          t.match(
            (await purge()).stderr,
            /1 containers may be attached: \S+ \(eth0 on by-\w+\): [^\n]+\n$/,
            'it has just ended',
          )
          await host.sh('sed -i \'s/"bootID":"[^"]*/&-earlier/\' /var/lib/cni/networks/.kubenet/*/*')
        })
        const { code, stdout, stderr } = await purge()
        t.same([code, stderr], [0, ''], stdout)
        t.match(stdout, `purged bridge "br-${backend}"\n`)
        t.equal(await host.snapshot(), before)
        t.equal(await sysctls(), off)
        t.equal(await files(), '')
      })
    }

    await t.test('what another program made or may need stays, and is named', async t => {
      await install()
      await host.sh(`
        ip link add br-other type bridge; ip link set br-other up
        nft add table inet kubenet; nft add chain inet kubenet mine`)
      const bridge = plugin(host, folder, 'bridge')
      const conf = {
        ...{ cniVersion: '1.0.0', name: 'own', type: 'bridge', bridge: 'br-own', isGateway: true },
        ipam: { type: 'host-local', ranges: [[{ subnet: '10.92.0.0/24' }]] },
      }
      const netns = await host.netns('shared')
      t.equal((await bridge('ADD', conf, { netns })).code, 0)
      t.equal((await bridge('DEL', conf, { netns })).code, 0)
      await host.sh('ip link add vm0 type veth peer name vm1; ip link set vm0 master br-own')
      const { code, stdout } = await purge()
      t.equal(code, 0)
      t.match(stdout, 'kept bridge "br-own" stays: "vm0" is its port\n')
      t.match(stdout, 'kept table "inet kubenet" stays: its chain "mine" is another program\'s\n')
      t.match(stdout, /kept sysctl net\.ipv4\.ip_forward stays 1: "br-[a-z]+" may need it\n/)
      await host.sh('ip link show br-own; ip link show br-other; nft list chain inet kubenet mine')
    })
  })
}
