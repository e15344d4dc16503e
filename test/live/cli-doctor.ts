/** `kubenet doctor`: silent on a healthy node, and a name and a remedy for each of many planted faults. */
import t from 'tap'
import { flavours, type Json } from '../fixtures/cni'
import {
  asNobody,
  capabilities,
  confDir,
  configureNetworks,
  connectHost,
  jsonOf,
  runKubenet,
} from '../fixtures/command-line'
import { PrivateHost } from '../fixtures/private-host'

type Line = { status: string; check: string; says: string; remedy: string; fixable: boolean }

type Fault = {
  readonly name: string
  /** Shell that breaks something, and shell that mends it again. */
  readonly plant: string
  readonly mend: string
  /** The line that must be there. */
  readonly expected: { status: string; check: string; says: RegExp; remedy: RegExp }
}

const blue = `$(ip -j link | jq -r '.[] | select((.ifalias // "") == "cni kubenet blue eth0" and (.ifname | startswith("veth"))) | .ifname')`

const faults: readonly Fault[] = [
  {
    name: 'forwarding switched off',
    plant: 'echo 0 > /proc/sys/net/ipv4/ip_forward',
    mend: 'echo 1 > /proc/sys/net/ipv4/ip_forward',
    expected: {
      status: 'fail',
      check: 'forwarding',
      says: /does not forward IPv4/,
      remedy: /sysctl -w net\.ipv4\.ip_forward=1/,
    },
  },
  {
    name: 'a veth taken out of its bridge',
    plant: `ip link set ${blue} nomaster`,
    mend: `ip link set ${blue} master cbr0`,
    expected: {
      status: 'fail',
      check: 'interfaces',
      says: /no port of any bridge, and should be one of "cbr0"/,
      remedy: /ip link set veth\w+ master cbr0/,
    },
  },
  {
    name: 'MTUs that differ',
    plant: 'ip -n blue link set eth0 mtu 1300',
    mend: 'ip -n blue link set eth0 mtu 1500',
    expected: {
      status: 'fail',
      check: 'mtu',
      says: /its MTU is 1500, in the container 1300, that of "cbr0" is 1500/,
      remedy: /mtu 1500/,
    },
  },
  {
    name: 'a bridge with a larger MTU than the uplink',
    plant: 'ip link set eth0 mtu 1400',
    mend: 'ip link set eth0 mtu 1500',
    expected: {
      status: 'warn',
      check: 'mtu',
      says: /"cbr0" has MTU 1500, and "eth0", [^"]*, 1400/,
      remedy: /"mtu": 1400/,
    },
  },
  {
    name: 'a flushed ruleset',
    plant: 'nft list table inet kubenet > /run/kept; nft delete table inet kubenet',
    mend: 'nft -f /run/kept',
    expected: {
      status: 'fail',
      check: 'rules',
      says: /rules of network "kubenet" in table inet kubenet: they are not there/,
      remedy: /kubenet sync/,
    },
  },
  {
    name: 'an element of a pod taken out',
    plant: `nft delete element inet kubenet pods4-kubenet { 10.244.1.2 }`,
    mend: `nft 'add element inet kubenet pods4-kubenet { 10.244.1.2 comment "kubenet blue eth0" }'`,
    expected: {
      status: 'fail',
      check: 'rules',
      says: /element 10\.244\.1\.2 in set pods of "kubenet"/,
      remedy: /kubenet sync/,
    },
  },
  {
    name: 'a firewall that drops what is forwarded',
    plant: 'iptables -P FORWARD DROP',
    mend: 'iptables -P FORWARD ACCEPT',
    expected: {
      status: 'fail',
      check: 'forward filter',
      says: /"cbr0" are dropped: -P FORWARD DROP/,
      remedy: /iptables -I FORWARD -i cbr0 -j ACCEPT/,
    },
  },
  {
    name: 'both variants of iptables',
    plant:
      'iptables-legacy -t filter -A INPUT -s 192.0.2.77 -j ACCEPT; iptables-nft -t filter -A INPUT -s 192.0.2.77 -j ACCEPT',
    mend: 'for i in legacy nft; do iptables-$i -t filter -D INPUT -s 192.0.2.77 -j ACCEPT; done',
    expected: {
      status: 'warn',
      check: 'iptables',
      says: /both variants of iptables have rules, legacy and nf_tables/,
      remedy: /update-alternatives/,
    },
  },
  {
    name: 'a range that the host has elsewhere too',
    plant:
      'ip addr add 10.66.0.200/16 dev lo; ip link add other type bridge; ip addr add 10.66.0.77/16 dev other; ip link set other up',
    mend: 'ip link del other; ip addr del 10.66.0.200/16 dev lo',
    expected: {
      status: 'fail',
      check: 'ranges',
      says: /"other" has the address 10\.66\.0\.77, which is in range 10\.66\.0\.0\/24 of network "pods"/,
      remedy: /a range that nothing else/,
    },
  },
  {
    name: 'strict reverse path filtering where the way back is another',
    plant: 'echo 1 > /proc/sys/net/ipv4/conf/cni0/rp_filter; ip route add 10.66.0.0/25 dev eth0',
    mend: 'ip route del 10.66.0.0/25 dev eth0; echo 0 > /proc/sys/net/ipv4/conf/cni0/rp_filter',
    expected: {
      status: 'fail',
      check: 'rp_filter',
      says: /"cni0" drops what its containers send/,
      remedy: /net\.ipv4\.conf\.cni0\.rp_filter=2/,
    },
  },
  {
    name: 'an ifb of nobody',
    plant: 'ip link add bwp0123456789ab type ifb',
    mend: 'ip link del bwp0123456789ab',
    expected: {
      status: 'warn',
      check: 'rates',
      says: /ifb bwp0123456789ab: nothing tells whose it is/,
      remedy: /--fix/,
    },
  },
  {
    name: 'a veth of nobody on the bridge',
    plant: 'ip link add stray type veth peer name s0 netns eth0; ip link set stray master cbr0 up',
    mend: 'ip link del stray',
    expected: {
      status: 'warn',
      check: 'interfaces',
      says: /veth stray: it is a port of "cbr0", and no lease, result or alias tells whose/,
      remedy: /ip link del stray/,
    },
  },
  {
    name: 'a lease that a crash left empty',
    plant: ': > /var/lib/cni/networks/pods/10.66.0.99',
    mend: 'rm /var/lib/cni/networks/pods/10.66.0.99',
    expected: {
      status: 'warn',
      check: 'leases',
      says: /lease 10\.66\.0\.99 of network "pods": its file is empty/,
      remedy: /--fix/,
    },
  },
  {
    name: 'an address without a lease',
    plant: 'mv /var/lib/cni/networks/pods/10.66.0.2 /var/lib/cni/kept',
    mend: 'mv /var/lib/cni/kept /var/lib/cni/networks/pods/10.66.0.2',
    expected: {
      status: 'fail',
      check: 'leases',
      says: /address 10\.66\.0\.2 of network "pods" .*it has no lease/,
      remedy: /start it again/,
    },
  },
  {
    name: 'a program of the host on a port of a container',
    plant: `iperf3 -s -p 8001 > /dev/null 2>&1 & echo $! > /run/listener; for i in $(seq 50); do grep -q :1F41 /proc/net/tcp && break; sleep 0.1; done`,
    mend: 'kill $(cat /run/listener)',
    expected: {
      status: 'warn',
      check: 'host ports',
      says: /a program of the host listens on 8001\/tcp too/,
      remedy: /another port/,
    },
  },
  {
    name: 'a file that is no network, and a network whose plugin is missing',
    plant: `echo '{' > ${confDir}/30-torn.conflist; echo '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"nowhere"}]}' > ${confDir}/40-n.conflist`,
    mend: `rm ${confDir}/30-torn.conflist ${confDir}/40-n.conflist`,
    expected: {
      status: 'fail',
      check: 'plugins',
      says: /network "n" needs plugin "nowhere"/,
      remedy: /kubenet install/,
    },
  },
]

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet doctor`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = (args: readonly string[], env: Record<string, string> = {}, as: readonly string[] = []) =>
      runKubenet(host, flavour, args, { env, as })
    const doctor = async (...args: string[]): Promise<{ code: number; lines: Line[]; answer: Json }> => {
      const output = await kubenet(['doctor', '--json', ...args])
      const answer = jsonOf(output)
      return { code: output.code, lines: answer.lines, answer }
    }
    const faulty = (lines: readonly Line[]): Line[] => lines.filter(({ status }) => status !== 'ok')
    await connectHost(host)
    await configureNetworks(host, flavour)
    await kubenet(['init'])
    const add = (network: string, name: string, port: number) =>
      kubenet(['add', network, `/run/netns/${name}`, '--container-id', name], capabilities(port))
    for (const name of ['blue', 'green', 'red', 'grey']) await host.netns(name)
    t.equal((await add('kubenet', 'blue', 8001)).code, 0)
    t.equal((await add('pods', 'green', 8002)).code, 0)
    // What is younger than two seconds may be in the middle of its ADD.
    await host.sh('sleep 2.1')

    await t.test('a healthy node with pods of kubenet and of the chain has no fault', async t => {
      const { code, lines } = await doctor()
      t.same(faulty(lines), [])
      t.equal(code, 0)
      t.same(
        ['kernel', 'br_netfilter', 'iptables', 'ranges', 'leases', 'host ports'].filter(
          name => !lines.some(({ check }) => check === name),
        ),
        [],
      )
      t.match((await kubenet(['doctor'])).stdout, /\nthe node is healthy\n$/)
    })

    // The other flavour's code is the same here; one of each severity shows that it answers.
    for (const { name, plant, mend, expected } of flavour === 'standalone' ? faults : faults.slice(1, 4)) {
      await t.test(name, async t => {
        await host.sh(plant)
        const { code, lines } = await doctor()
        const named = lines.filter(
          ({ status, check, says }) =>
            status === expected.status && check === expected.check && expected.says.test(says),
        )
        t.equal(named.length > 0, true, `named: ${JSON.stringify(faulty(lines))}`)
        t.match(named[0]?.remedy ?? '', expected.remedy)
        t.equal(code, lines.some(({ status }) => status === 'fail') ? 1 : 0)
        await host.sh(mend)
      })
    }

    await t.test('mended, the node is healthy again', async t => t.same(faulty((await doctor()).lines), []))

    await t.test('--fix heals the living and removes what is proven to be gone, nothing else', async t => {
      const before = await host.snapshot()
      await add('kubenet', 'red', 8003)
      await add('pods', 'grey', 8004)
      await host.sh(`
        ip netns del red; ip netns del grey
        ${faults[1]?.plant}
        : > /var/lib/cni/networks/pods/10.66.0.99
        echo 0 > /proc/sys/net/ipv4/ip_forward
        # What was made before this boot is gone for sure.
        for f in $(grep -l -e '"red"' -e '"grey"' -r /var/lib/cni/networks/.kubenet); do sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' $f; done`)
      const sick = await doctor()
      t.equal(sick.code, 1)
      const of = (word: RegExp) => faulty(sick.lines).some(({ says }) => word.test(says))
      for (const word of [
        /lease 10\.244\.1\.\d+ .*container red/,
        /host port 8003/,
        /ifb bwp.*container red/,
        /container grey/,
        /masquerade rules in chain CNI-.*container grey/,
      ])
        t.ok(of(word), String(word))
      const { code, lines, answer } = await doctor('--fix')
      t.same(faulty(lines), [])
      t.equal(code, 0)
      t.same(
        answer.fixed.filter(({ failed }: Json) => failed),
        [],
      )
      t.equal(await host.snapshot(), before)
      t.equal(
        (await kubenet(['check', 'kubenet', '/run/netns/blue', '--container-id', 'blue'], capabilities(8001)))
          .code,
        0,
      )
      t.equal(
        (await kubenet(['check', 'pods', '/run/netns/green', '--container-id', 'green'], capabilities(8002)))
          .code,
        0,
      )
    })

    await t.test('whoever is not root is told what could not be looked at, and --fix is refused', async t => {
      const seen = await kubenet(['doctor', '--json'], {}, asNobody)
      t.equal(seen.code, 4)
      t.ok(jsonOf(seen).lines.some(({ status }: Line) => status === 'unknown'))
      const refused = await kubenet(['doctor', '--fix'], {}, asNobody)
      t.same([refused.code, refused.stdout], [4, ''])
      t.match(refused.stderr, /^kubenet: doctor: it takes root, [^\n]*\n$/)
    })
  })
}
