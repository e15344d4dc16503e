/** `kubenet add`, `check`, `del`, `status`: a runtime at the command line, with cnitool's environment and cache. */
import t from 'tap'
import { anyFlavour, binDir, flavours, type Json } from '../../fixtures/cni'
import { asNobody, confDir } from '../../fixtures/command-line'
import { type Output, PrivateHost } from '../../fixtures/private-host'

for (const flavour of flavours) {
  t.test(`[${flavour}] kubenet as a runtime`, async t => {
    const host = await PrivateHost.create(t)
    const folder = binDir(flavour)
    const kubenet = (
      args: readonly string[],
      env: Record<string, string> = {},
      as: readonly string[] = [],
    ): Promise<Output> =>
      host.exec([...as, `${folder}/kubenet`, ...args], {
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: folder, NETCONFPATH: confDir, ...env },
      })
    const blue = await host.netns('blue')
    const flags = [
      '--reference',
      '--pod-cidr',
      '10.66.0.0/24,fd00:66::/64',
      '--cni-version',
      '1.1.0',
      '--name',
      'pods',
    ]
    await kubenet(['config', ...flags, '--write', '--cni-conf-dir', confDir])
    const results = async () =>
      (await host.sh('ls /var/lib/cni/results 2>/dev/null || true')).split('\n').filter(Boolean)
    // sha512 of "/run/netns/blue".
    const containerID = 'cnitool-df26705e2e4ffd095eb1'

    await t.test('add prints the result as cnitool does, and caches it under its name', async t => {
      const { code, stdout, stderr } = await kubenet(['add', 'pods', blue])
      t.same([code, stderr], [0, ''])
      t.match(stdout, /^\{\n {4}"cniVersion": "1.1.0",\n/)
      const result: Json = JSON.parse(stdout)
      t.same(
        result.ips.map(({ address }: Json) => address),
        ['10.66.0.2/24', 'fd00:66::2/64'],
      )
      t.same(await results(), [`pods-${containerID}-eth0`])
      const cached: Json = JSON.parse(await host.sh(`cat /var/lib/cni/results/pods-${containerID}-eth0`))
      t.match(cached, {
        kind: 'cniCacheV1',
        containerId: containerID,
        ifName: 'eth0',
        networkName: 'pods',
        netns: blue,
      })
      // libcni leaves an empty dns out.
      const { dns, ...rest } = result
      t.same([cached.result, dns], [rest, {}])
    })

    await t.test('check agrees, and says what is wrong when something is', async t => {
      const good = await kubenet(['check', 'pods', blue])
      t.same(good, { code: 0, stdout: `pods: "eth0" of ${containerID} is as it was added\n`, stderr: '' })
      await host.run('ip', '-n', 'blue', 'addr', 'del', '10.66.0.2/24', 'dev', 'eth0')
      const { code, stderr } = await kubenet(['check', 'pods', blue])
      t.equal(code, 1)
      t.match(stderr, /^kubenet: check: plugin type="bridge" failed \(check\): [^\n]*10\.66\.0\.2[^\n]*\n$/)
    })

    await t.test('del takes it all back, twice', async t => {
      for (const time of ['first', 'second']) {
        const { code, stdout, stderr } = await kubenet(['del', 'pods', blue])
        t.same([code, stderr], [0, ''], time)
        t.equal(stdout, `pods: "eth0" of ${containerID} is detached\n`, time)
      }
      t.same(await results(), [])
      t.same(await host.sh('ls /var/lib/cni/networks/pods | grep -v -e lock -e last_reserved || true'), '')
    })

    await t.test('ifname, port mappings, CNI_ARGS and --json', async t => {
      const env = {
        CAP_ARGS: '{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}',
        CNI_ARGS: 'IgnoreUnknown=1;MAC=02:00:00:00:00:05',
        CNI_IFNAME: 'net7',
      }
      const { stdout } = await kubenet(['add', 'pods', blue, '--json', '--container-id', 'mine'], env)
      const answer: Json = JSON.parse(stdout)
      t.match(answer, { network: 'pods', containerID: 'mine', ifName: 'net7', netns: blue })
      t.equal(answer.result.interfaces[2].mac, '02:00:00:00:00:05')
      t.match(
        await host.run('iptables-save', '-t', 'nat'),
        /--dport 8080 .*--to-destination 10\.66\.0\.\d+:80/,
      )
      t.equal((await kubenet(['check', 'pods', blue, '-i', 'net7', '--container-id', 'mine'])).code, 0)
      t.equal((await kubenet(['del', 'pods', '', '-i', 'net7', '--container-id', 'mine'])).code, 0)
      t.notMatch(await host.run('iptables-save', '-t', 'nat'), /8080/)
    })

    await t.test('an add that fails leaves nothing behind', async t => {
      const before = await host.snapshot()
      const env = { CAP_ARGS: '{"portMappings":[{"hostPort":99999,"containerPort":80,"protocol":"tcp"}]}' }
      const { code, stdout, stderr } = await kubenet(['add', 'pods', blue], env)
      t.same([code, stdout], [1, ''])
      t.match(stderr, /^kubenet: add: plugin type="portmap" failed \(add\): [^\n]*99999[^\n]*\n$/)
      t.equal(await host.snapshot(), before)
      t.same(await results(), [])
    })

    await t.test('status tells whether a network is ready, and why not', async t => {
      t.match(await kubenet(['status']), { code: 0, stdout: /^pods +1\.1\.0 +yes/m })
      await host.sh(
        `printf '{"cniVersion":"1.0.0","name":"broken","plugins":[{"type":"nowhere"}]}' > ${confDir}/20-b.conflist`,
      )
      const { code, stdout } = await kubenet(['status', '--json'])
      t.equal(code, 1)
      t.match(JSON.parse(stdout).networks, [
        { network: 'pods', ready: true, asked: true },
        { network: 'broken', ready: false, reason: /failed to find plugin "nowhere"/ },
      ])
      t.equal((await kubenet(['status', 'pods', blue])).code, 0, 'cnitool has a namespace here')
      t.match(await kubenet(['networks', '--names']), { stdout: 'pods\nbroken\n' })
    })

    await t.test('a reader that goes away, and one that is slow, change nothing', async t => {
      const script = `${folder}/kubenet help --json | head -c 11; echo " \${PIPESTATUS[0]}"`
      t.same(await host.exec(['bash', '--norc', '-c', script]), {
        code: 0,
        stdout: '{\n  "comman 0\n',
        stderr: '',
      })
      const lines = await host.sh(`${folder}/kubenet man | (sleep 0.3; wc -c)`)
      t.ok(Number(lines) > 10_000)
    })

    // Refusals are the same code in both.
    if (!anyFlavour.includes(flavour)) return

    await t.test('a refusal is one line, and nothing is done', async t => {
      const before = await host.snapshot()
      const cases: [string[], number, RegExp][] = [
        [
          ['add', 'nope', blue],
          3,
          /no network "nope" in \/run\/net\.d; the networks there are "pods", "broken"/,
        ],
        [
          ['add', 'broken', blue],
          3,
          /network "broken" needs plugin "nowhere", not found in .*; "kubenet plugins" shows/,
        ],
        [
          ['add', 'pods', 'blue'],
          3,
          /there is no network namespace \/blue; did you mean \/run\/netns\/blue\?/,
        ],
        [
          ['add', 'pods', '/run/netns/green'],
          3,
          /there is no network namespace \/run\/netns\/green; "ip netns add green"/,
        ],
        [['add', 'pods', ''], 2, /without a network namespace, name the container with --container-id/],
        [['add', 'pods', blue, '-i', 'a/b'], 2, /--ifname: interface name contains \//],
        [['add', 'pods', blue, '--container-id', '-x'], 2, /--container-id: "-x" is no container ID/],
        [
          ['add', 'pods', '/proc/self/ns/net'],
          1,
          /plugin's netns and netns from CNI_NETNS should not be the same/,
        ],
        [
          ['check', 'pods', blue],
          3,
          /container \S+ has no "eth0" on network "pods"; CHECK needs the result of the ADD/,
        ],
        [['add', 'pods', blue, '--cni-conf-dir', '/run/none'], 3, /there is no folder \/run\/none; /],
      ]
      for (const [line, code, says] of cases) {
        const output = await kubenet(line)
        t.same([output.code, output.stdout], [code, ''], line.join(' '))
        t.match(
          output.stderr,
          new RegExp(`^kubenet: ${line[0]}: [^\n]*${says.source}[^\n]*\n$`),
          line.join(' '),
        )
      }
      t.equal(await host.snapshot(), before)
    })

    await t.test('without the right to change networks, the error says so', async t => {
      const denied = await kubenet(['add', 'pods', blue], {}, asNobody)
      t.same([denied.code, denied.stdout], [4, ''])
      t.match(denied.stderr, /^kubenet: add: read .*: permission denied; run it as root\n$/)
      await host.sh(`chmod 644 ${confDir}/*`)
      const { code, stderr } = await kubenet(['add', 'pods', blue], {}, asNobody)
      t.equal(code, 4)
      t.equal(
        stderr,
        'kubenet: add: changing networks needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN; run it as root\n',
      )
    })

    await t.test('a plugin of --cni-bin-dir comes after those of CNI_PATH, and instead of none', async t => {
      await host.sh(`
        mkdir -p /run/one /run/two
        printf '#!/bin/sh\necho {\\"cniVersion\\":\\"1.0.0\\",\\"ips\\":[],\\"dns\\":{\\"domain\\":\\"$(dirname $0)\\"}}' > /run/two/say
        chmod +x /run/two/say; cp /run/two/say /run/one/say
        printf '{"cniVersion":"1.0.0","name":"say","plugins":[{"type":"say"}]}' > ${confDir}/30-say.conflist`)
      const domain = async (...bin: string[]) =>
        JSON.parse((await kubenet(['add', 'say', blue, ...bin], { CNI_PATH: '/run/none:/run/one' })).stdout)
          .dns.domain
      t.equal(await domain('--cni-bin-dir', '/run/two'), '/run/one')
      await host.sh('rm /run/one/say')
      t.equal(await domain('--cni-bin-dir', '/run/nowhere,/run/two'), '/run/two')
    })

    await t.test('a slow plugin is reported after a second', async t => {
      await host.sh(`
        printf '#!/bin/sh\nsleep 1.6; echo {\\"cniVersion\\":\\"1.0.0\\"}' > /run/one/slow; chmod +x /run/one/slow
        printf '{"cniVersion":"1.0.0","name":"slow","plugins":[{"type":"slow"}]}' > ${confDir}/40-slow.conflist`)
      const line = `${folder}/kubenet add slow ${blue} > /run/out`
      const terminal = ['script', '-qec', line, '/dev/null']
      const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: '/run/one', NETCONFPATH: confDir }
      const { code, stdout } = await host.exec(terminal, { env })
      t.equal(code, 0)
      t.match(stdout, /^waiting for \/run\/one\/slow \(ADD\) \(\d+ s\)\r\n/)
    })
  })
}
