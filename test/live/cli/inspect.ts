/** `kubenet inspect`, `why` and `trace`, and the metrics: a node with pods, host ports, rates and a leak. */
import t from 'tap'
import { anyFlavour, type Json } from '../../fixtures/cni'
import {
  capabilities,
  confDir,
  configureNetworks,
  connectHost,
  jsonOf,
  runKubenet,
} from '../../fixtures/command-line'
import { readFlowchart } from '../../fixtures/mermaid'
import { namedMetrics, seriesIn } from '../../fixtures/monitoring'
import { PrivateHost } from '../../fixtures/private-host'
import { metricsProblems, promtoolMissing } from '../../fixtures/promtool'

const log = '/run/calls.log'

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] looking at a node`, async t => {
    const host = await PrivateHost.create(t)
    const kubenet = (args: readonly string[], env: Record<string, string> = {}) =>
      runKubenet(host, flavour, args, { env })
    await connectHost(host)
    await configureNetworks(host, flavour)
    await host.sh(
      `sed -i 's|"type": "kubenet",|"type": "kubenet", "logFile": "${log}", "logLevel": "debug",|' ${confDir}/10-kubenet.conflist`,
    )
    for (const name of ['web', 'api', 'gone']) await host.netns(name)
    const pod = { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web' }
    const id = (name: string) => [`/run/netns/${name}`, '--container-id', name]
    await kubenet(['add', 'kubenet', ...id('web')], { ...capabilities(8080), ...pod })
    await kubenet(['add', 'pods', ...id('api')], capabilities(9090))
    await kubenet(['add', 'kubenet', ...id('gone')])
    const taken = await kubenet(
      ['add', 'kubenet', '/run/netns/web', '--container-id', 'rival', '-i', 'eth1'],
      capabilities(8080),
    )
    t.equal(taken.code, 1)
    await host.sh(`
      ip netns del gone
      sed -i 's/"bootID":"[^"]*"/"bootID":"before"/' $(grep -l '"gone"' -r /var/lib/cni/networks/.kubenet)`)
    const inspection = jsonOf(await kubenet(['inspect', '--json', '--metrics-file', '/run/kubenet.prom']))
    const container = (name: string): Json =>
      inspection.containers.find(({ containerID }: Json) => containerID === name)

    await t.test('inspect --json joins lease, namespace, veth, ports and rates of each pod', async t => {
      t.match(container('web'), {
        network: 'kubenet',
        pod: 'default/web',
        state: 'running',
        netns: '/run/netns/web',
        addresses: ['10.244.1.2', 'fd00:244:1::2'],
        bridge: 'cbr0',
        mtu: 1500,
        veth: { name: /^veth/, mtu: 1500 },
        limits: { ingressBits: 10_000_000, egressBits: 20_000_000, ifb: /^bwp/ },
      })
      t.match(container('web').ports[0], {
        protocol: 'tcp',
        hostPort: 8080,
        containerPort: 80,
        address: '10.244.1.2',
        by: 'kubenet',
      })
      t.match(container('api'), {
        network: 'pods',
        state: 'running',
        addresses: ['10.66.0.2'],
        bridge: 'cni0',
      })
      t.match(container('api').ports, [{ hostPort: 9090, containerPort: 80, by: 'iptables' }])
      t.match(container('gone'), { state: 'gone', why: 'it was made before this boot' })
      const { pools } = inspection.networks.find(({ name }: Json) => name === 'kubenet')
      t.match(pools[0], { total: 253, used: 2, leaked: 1, free: 251 })
      t.equal(container('rival'), undefined, 'an ADD that failed left nothing')
    })

    await t.test('as a table, a line for each pod; without a terminal there are no colours', async t => {
      const { code, stdout } = await kubenet(['inspect'])
      t.equal(code, 0)
      t.match(stdout, /^CONTAINER +IF +NETWORK +ADDRESS +VETH +MTU +PORTS +LIMIT +RX +TX +AGE +STATE\n/)
      t.match(
        stdout,
        /^default\/web +eth0 +kubenet +10\.244\.1\.2,fd00:244:1::2 +veth\w+ +1500 +8080→80\/tcp +10M\/20M .* running$/m,
      )
      t.match(stdout, /^gone +eth0 +kubenet +10\.244\.1\.3.* gone$/m)
      t.match(stdout, /^kubenet: 2 of 253 addresses used, 1 of them leaked, 251 free/m)
      t.notMatch(stdout, '\u001b')
      t.match((await kubenet(['inspect', '--network', 'pods'])).stdout, /^api +eth0 +10\.66\.0\.2/m)
    })

    await t.test('as a flowchart of Mermaid', async t => {
      const { stdout } = await kubenet(['inspect', '--mermaid'])
      t.match(stdout, /^flowchart TB\n {2}outside\(\(outside\)\)\n {2}subgraph host\["/)
      t.match(stdout, /uplink0\["eth0<br\/>192\.0\.2\.1\/24<br\/>MTU 1500"\]/)
      t.match(stdout, /pod0_0\["default\/web<br\/>10\.244\.1\.2<br\/>fd00:244:1::2<br\/>limit 10M\/20M"\]\n/)
      t.match(stdout, /outside ==>\|"8080 → 80\/tcp"\| pod0_0\n/)
      t.match(stdout, /left0\["gone<br\/>lease /)
      const { nodes } = readFlowchart(stdout)
      t.same(nodes.get('pod0_0')?.[0], 'default/web')
    })

    await t.test('as a picture that a strict XML parser reads', async t => {
      const written = await kubenet(['inspect', '--svg', '/run/node.svg'])
      t.same(written, { code: 0, stdout: '/run/node.svg is written\n', stderr: '' })
      const script = `
        use strict; local $/; my $x = <STDIN>;
        $x =~ s/^<\\?xml[^>]*\\?>//; my @open; my $texts = 0;
        while ($x =~ m{<(/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(/?)>([^<]*)}g) {
          my ($end, $name, $alone, $after) = ($1, $2, $4, $5);
          if ($end) { die "$name" if pop(@open) ne $name } elsif (!$alone) { push @open, $name }
          die "bare & in $after" if $after =~ /&(?!(amp|lt|gt|quot);)/; $texts++ if $name eq 'text' && !$end;
        }
        die "open: @open" if @open; print $texts > 10 ? 'well-formed' : 'empty'`
      t.equal(await host.sh(`perl -e '${script.replaceAll("'", `'"'"'`)}' < /run/node.svg`), 'well-formed')
      const svg = await host.sh('cat /run/node.svg')
      for (const text of ['default/web', '10.66.0.2', '8080 → 80/tcp', 'left behind', 'lease 10.244.1.3'])
        t.match(svg, text)
    })

    await t.test(
      'the metrics say how many addresses are used, free and leaked, how long calls took, what conflicted',
      async t => {
        const metrics = await host.sh('cat /run/kubenet.prom')
        t.match(metrics, /^# TYPE kubenet_addresses gauge$/m)
        const pool = 'network="kubenet",ranges="10\\.244\\.1\\.1-10\\.244\\.1\\.254"'
        for (const [state, value] of [
          ['used', 2],
          ['free', 251],
          ['leaked', 1],
        ])
          t.match(metrics, new RegExp(`^kubenet_addresses\\{${pool},state="${state}"\\} ${value}$`, 'm'))
        t.match(metrics, /^# TYPE kubenet_call_duration_seconds histogram$/m)
        const added = 'plugin="kubenet",command="ADD"'
        for (const line of [
          `kubenet_call_duration_seconds_bucket\\{${added},le="60"\\} 3`,
          `kubenet_call_duration_seconds_count\\{${added}\\} 3`,
          `kubenet_call_duration_seconds_sum\\{${added}\\} \\d+\\.\\d+`,
          'kubenet_host_port_conflicts_total 1',
          `kubenet_calls_total\\{${added},result="error"\\} 1`,
        ])
          t.match(metrics, new RegExp(`^${line}$`, 'm'))
        if (!promtoolMissing) t.equal(metricsProblems(metrics), '')
        const series = seriesIn(metrics)
        t.same(
          namedMetrics(/^kubenet_(?!agent)/).filter(name => !series.has(name)),
          [],
          'the dashboard and the rules name what is there',
        )
        t.equal((await host.sh('ls -A /run | grep -c prom')).trim(), '1', 'nothing half written is beside it')
      },
    )

    await t.test('why tells whose an address, a port and a name are, and all that belongs to it', async t => {
      const cases: [string, number, RegExp][] = [
        [
          '10.244.1.2',
          0,
          /^10\.244\.1\.2 is of container web, interface eth0, pod default\/web, on network "kubenet"\n/,
        ],
        [
          '8080',
          0,
          /^8080 is of container web.*\n {2}host port {3}8080\/tcp → 10\.244\.1\.2:80 \(table inet kubenet\)\n/s,
        ],
        ['9090/tcp', 0, /^9090\/tcp is of container api.*\(iptables, rules of portmap\)\n/s],
        ['default/web', 0, /\n {2}rate {8}10Mbit\/s into the container/],
        ['10.244.1.3', 1, /^10\.244\.1\.3 is of container gone.*\n {2}wrong {7}KN0037 lease 10\.244\.1\.3/s],
        ['10.244.1.1', 0, /^10\.244\.1\.1 is the gateway of network "kubenet", on cbr0\n$/],
        ['10.244.1.77', 0, /^10\.244\.1\.77 is free: network "kubenet" may give it to the next container\n$/],
        ['192.0.2.1', 0, /^192\.0\.2\.1 is an address of the host itself, on "eth0"\n$/],
        [
          '203.0.113.5',
          3,
          /^kubenet: why: 203\.0\.113\.5 is not of this node; the route leads over "eth0"; /,
        ],
        ['1234', 3, /^kubenet: why: host port 1234 leads nowhere: /],
        ['nobody', 3, /^kubenet: why: no object of this node has the name, ID or address "nobody"; /],
      ]
      for (const [what, code, says] of cases) {
        const output = await kubenet(['why', what])
        t.equal(output.code, code, what)
        t.match(output.stdout || output.stderr, says, what)
      }
      const answer = jsonOf(await kubenet(['why', '8080', '--json']))
      t.match(answer, {
        asked: '8080',
        kind: 'host port',
        containers: [{ containerID: 'web', network: 'kubenet' }],
        findings: [],
      })
    })

    await t.test('trace tells the calls for a container, by ID and by the name of its pod', async t => {
      await kubenet(['check', 'kubenet', ...id('web')], { ...capabilities(8080), ...pod })
      for (const name of ['web', 'default/web']) {
        const { code, stdout } = await kubenet(['trace', name])
        t.equal(code, 0, name)
        t.match(stdout, /^container web \(pod default\/web\)\n/)
        t.match(stdout, /^\d{4}-\d\d-\d\d [\d:.]+ {2}ADD +kubenet +kubenet eth0 .* ms {2}ok$/m)
        t.match(stdout, /\n2 calls in [\d.]+ ms, none failed; the last was CHECK, which succeeded\n$/)
      }
      t.match(
        (await kubenet(['trace', 'rival'])).stdout,
        /failed with code 7: host port 8080\/tcp is taken by container web \(pod default\/web\)/,
      )
      const { calls } = jsonOf(await kubenet(['trace', 'web', '--json']))
      t.match(calls[0], { plugin: 'kubenet', command: 'ADD', containerID: 'web', pod: 'default/web' })
      t.ok(calls[0].steps.length > 2, 'logLevel debug notes the steps')
      const unknown = await kubenet(['trace', 'nobody'])
      t.equal(unknown.code, 3)
      t.match(
        unknown.stderr,
        /^kubenet: trace: no call for container "nobody" in \/run\/calls\.log; 3 containers are in it/,
      )
    })

    await t.test('gc names the pod of each container, where anything tells', async t => {
      const { attachments } = jsonOf(await kubenet(['gc', 'kubenet', '--json']))
      t.match(attachments.map(({ containerID, pod }: Json) => [containerID, pod]).toSorted(), [
        ['gone', undefined],
        ['web', 'default/web'],
      ])
      t.match(
        (await kubenet(['gc', 'kubenet'])).stdout,
        /^ACTION +CONTAINER +POD .*\n(.*\n)?.*web +default\/web/,
      )
    })

    await t.test('an invalid value is one line', async t => {
      const cases: [string[], number, RegExp][] = [
        [['inspect', '--svg', '--mermaid'], 2, /--mermaid and --svg exclude each other/],
        [['inspect', 'x.svg'], 2, /a file is for --svg or --mermaid/],
        [['inspect', '--network', 'nope'], 3, /no network "nope"; the networks there are "kubenet", "pods"/],
        [['inspect', '--svg', '/run/none/x.svg'], 1, /open "\/run\/none\/x\.svg": no such file or directory/],
        [
          ['inspect', '--metrics-file', '/run/none/x.prom'],
          1,
          /open "\/run\/none\/[^"]*": no such file or directory/,
        ],
      ]
      for (const [line, code, says] of cases) {
        const output = await kubenet(line)
        t.same([output.code, output.stdout], [code, ''], line.join(' '))
        t.match(output.stderr, new RegExp(`^kubenet: inspect: ${says.source}[^\n]*\n$`))
      }
    })
  })
}
