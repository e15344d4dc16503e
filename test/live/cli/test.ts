/** `kubenet test`: real packets between containers made for it, on nodes that are well and nodes that are not. */
import t, { type Test } from 'tap'
import { anyFlavour, binDir } from '../../fixtures/cni'
import { confDir } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

type Row = {
  readonly probe: string
  readonly family: number
  readonly outcome: string
  readonly details: string
}

const rowsOf = (stdout: string): Row[] => JSON.parse(stdout).networks[0].probes

const outcomes = (rows: readonly Row[], family: number) =>
  Object.fromEntries(rows.filter(row => row.family === family).map(({ probe, outcome }) => [probe, outcome]))

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] kubenet test`, async t => {
    const host = await PrivateHost.create(t)
    await host.uplink('wan', '192.0.2.1/24')
    await host.sh(`
      ip -n wan addr add 192.0.2.254/24 dev eth0; ip route add default via 192.0.2.254
      ip addr add 2001:db8::1/64 dev wan nodad; ip -n wan addr add 2001:db8::fe/64 dev eth0 nodad
      ip -6 route add default via 2001:db8::fe
      sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
      echo 'nameserver 192.0.2.254' > /run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf`)
    const folder = binDir(flavour)
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: folder, NETCONFPATH: confDir }
    const kubenet = (...args: string[]) => host.exec([`${folder}/kubenet`, ...args], { env })
    const made = await kubenet(
      'config',
      '--pod-cidr',
      '10.244.1.0/24,fd00:244::/64',
      '--cni-version',
      '1.1.0',
      '--write',
    )
    t.equal(made.code, 0, made.stderr)
    await host.netns('web')
    t.equal((await kubenet('add', 'kubenet', '/run/netns/web')).code, 0, 'a pod is there')
    const before = await host.snapshot()
    const nothingIsLeft = async (t: Test) => {
      t.equal(await host.snapshot(), before, 'nothing is left')
      t.match(await host.sh('ls /var/lib/cni/results'), /^kubenet-cnitool-[0-9a-f]+-eth0\n$/)
    }
    /** The outcome of every probe on a node that is well. */
    const well = {
      'pod to pod': 'works',
      'pod to pod, full MTU': 'works',
      'pod to its gateway': 'works',
      'pod to the node': 'works',
      'pod to the outside': 'works',
      'pod to a name server': 'unknown',
      'node to pod': 'works',
      'host port, from the node': 'works',
      'host port, from a pod': 'works',
      'host port, from its own pod': 'works',
      'rate to the pod': 'works',
    }

    await t.test('a node that is well', async t => {
      const { code, stdout, stderr } = await kubenet('test', '--json')
      t.equal(code, 0, stderr)
      const rows = rowsOf(stdout)
      t.same(outcomes(rows, 4), well, stdout)
      t.same(outcomes(rows, 6), { ...well, 'pod to a name server': 'skipped' }, stdout)
      t.match(rows[1]?.details, '1472 bytes, not to be fragmented')
      await nothingIsLeft(t)
    })

    const faults: [title: string, harm: string, repair: string, changed: Record<string, string>][] = [
      [
        'a firewall that forwards nothing',
        // Not by its policy: br_netfilter would have it drop what crosses the bridge alone, too.
        'nft "add table inet strict; add chain inet strict f { type filter hook forward priority 0; }; ' +
          'add rule inet strict f iifname cbr0 oifname wan drop; add rule inet strict f ct status dnat drop"',
        'nft delete table inet strict',
        {
          'pod to the outside': 'fails',
          'host port, from a pod': 'fails',
          'host port, from its own pod': 'fails',
        },
      ],
      [
        'a bridge that drops what is long',
        'nft "add table bridge strict; add chain bridge strict f { type filter hook forward priority 0; }; ' +
          'add rule bridge strict f meta length > 1400 drop"',
        'nft delete table bridge strict',
        { 'pod to pod, full MTU': 'fails' },
      ],
      [
        'a gateway that is silent to all',
        'nft "add table inet strict; add chain inet strict i { type filter hook output priority 0; }; ' +
          'add chain inet strict f { type filter hook forward priority 0; }; ' +
          'add rule inet strict i oifname wan drop; add rule inet strict f oifname wan drop"',
        'nft delete table inet strict',
        { 'pod to the outside': 'unknown' },
      ],
      [
        'a node that answers no ping of its pods',
        'nft "add table inet strict; add chain inet strict i { type filter hook input priority 0; }; ' +
          'add rule inet strict i iifname cbr0 icmp type echo-request drop"',
        'nft delete table inet strict',
        { 'pod to its gateway': 'fails', 'pod to the node': 'fails' },
      ],
    ]
    for (const [title, harm, repair, changed] of faults) {
      await t.test(title, async t => {
        await host.sh(harm)
        const { code, stdout } = await kubenet('test', 'kubenet', '--json')
        await host.sh(repair)
        t.equal(code, Object.values(changed).includes('fails') ? 1 : 0)
        t.same(outcomes(rowsOf(stdout), 4), { ...well, ...changed }, stdout)
        await nothingIsLeft(t)
      })
    }

    await t.test('a range without addresses for two more', async t => {
      await host.sh('mkdir /run/full.d')
      const conf = ['config', '--name', 'full', '--bridge', 'br-full', '--pod-cidr', '10.9.0.0/30']
      await kubenet(...conf, '--write', '--cni-conf-dir', '/run/full.d')
      const { code, stdout } = await kubenet('test', '--cni-conf-dir', '/run/full.d')
      t.equal(code, 1)
      t.match(stdout, /^full +attach two containers +fails +.*no IP addresses available in range/m)
      t.equal(await host.sh('ls /var/lib/cni/networks/full | grep -E "^10[.]" || true'), '', 'no lease')
    })

    await t.test('a DEL that fails keeps the other container from nothing', async t => {
      await host.sh(`
        mkdir /run/odd.d /run/odd
        cat > /run/odd/odd << 'END'
#!/bin/sh
case $CNI_COMMAND in
  ADD) jq .prevResult ;;
  DEL) echo "$CNI_CONTAINERID" >> /run/odd/dels; echo '{"code":100,"msg":"odd refuses"}'; exit 1 ;;
esac
END
        chmod +x /run/odd/odd
        jq '.name = "odd" | .plugins += [{"type": "odd"}]' ${confDir}/*.conflist > /run/odd.d/10-odd.conflist`)
      const { code, stdout } = await kubenet(
        'test',
        'odd',
        '--cni-conf-dir',
        '/run/odd.d',
        '--cni-bin-dir',
        '/run/odd',
      )
      t.equal(code, 1)
      t.match(stdout, /^odd +attach two containers +fails +.*odd refuses/m)
      t.equal((await host.sh('sort -u /run/odd/dels | wc -l')).trim(), '2')
    })

    await t.test('killed in the middle, it leaves what gc removes', async t => {
      await host.sh(`
        mkdir /run/slow.d /run/slow
        printf '#!/bin/sh\n[ "$CNI_COMMAND" != ADD ] || { touch /run/slow/reached; exec sleep 600; }\n' > /run/slow/slow
        chmod +x /run/slow/slow
        jq '.name = "slow" | .plugins += [{"type": "slow"}]' ${confDir}/*.conflist > /run/slow.d/10-slow.conflist`)
      const places = ['--cni-conf-dir', '/run/slow.d', '--cni-bin-dir', '/run/slow']
      const [killed] = await Promise.all([
        host.exec(
          ['sh', '-c', 'echo $$ > /run/slow/pid; exec "$@"', 'sh', `${folder}/kubenet`, 'test', ...places],
          {
            env,
          },
        ),
        host.sh(`
          until [ -e /run/slow/reached ]; do sleep 0.05; done
          kill -KILL "$(cat /run/slow/pid)"; pkill -f '^sleep 600$'`),
      ])
      t.not(killed.code, 0)
      t.match(await host.sh('ls /var/lib/cni/networks/slow'), /^10[.]/m, 'a lease is left')
      await host.sh(
        'until [ "$(ip -o link show type veth | grep -c "alias cni ")" = 1 ]; do sleep 0.05; done',
      )
      const { code, stderr } = await kubenet('gc', 'slow', '--yes', '--all', ...places)
      t.equal(code, 0, stderr)
      t.notMatch(await host.sh('ls /var/lib/cni/networks/slow'), /^10[.]/m)
    })
  })
}
