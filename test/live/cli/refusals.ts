/** Whatever `kubenet` cannot do is one clear line and an exit code, and nothing is half done. */
import t from 'tap'
import { binDir, flavours } from '../../fixtures/cni'
import { asNobody, confDir } from '../../fixtures/command-line'
import { PrivateHost } from '../../fixtures/private-host'

type Refusal = {
  readonly line: readonly string[]
  readonly code: number
  readonly says: RegExp
  readonly env?: Record<string, string>
  readonly as?: readonly string[]
}

const blue = '/run/netns/blue'
const configure = ['config', '--pod-cidr', '10.244.1.0/24', '--write', '--cni-conf-dir']
const install = ['install', '--pod-cidr', '10.244.1.0/24', '--bin-dir']

/** An invalid pod range, and its error. */
const badRanges: [string, RegExp][] = [
  ['10.244', /"10\.244" is not a network: it needs a prefix length, as in 10\.244\.1\.0\/24/],
  ['10.244.1.0/33', /"10\.244\.1\.0\/33" is not a network/],
  ['10.244.1.5/24', /"10\.244\.1\.5\/24" has host bits set; its network is 10\.244\.1\.0\/24/],
  ['10.244.1.0/31', /"10\.244\.1\.0\/31" has no room for pods: the longest prefix is \/30/],
  ['10.1.0.0/24,10.2.0.0/24', /10\.1\.0\.0\/24 and 10\.2\.0\.0\/24 are both IPv4; dual stack is one of each/],
]

const half = { CNI_PATH: '/run/half' }
const none = { CNI_PATH: '/run/none' }

const toInstall = /; "kubenet plugins" shows what is there, "kubenet install" puts ours in place/.source

const missing = (network: string, what: string, folder: string): RegExp =>
  new RegExp(`network "${network}" needs ${what}, not found in ${folder}${toInstall}`)

const cases: Record<string, readonly Refusal[]> = {
  'an invalid pod range': badRanges.flatMap(([range, said]) =>
    [
      ['config', '--write', '--pod-cidr', range],
      ['install', '--bin-dir', '/run/bin', '--pod-cidr', range],
    ].map(line => ({ line, code: 2, says: new RegExp(`--pod-cidr: ${said.source}`) })),
  ),
  'an invalid command line': [
    { line: ['add'], code: 2, says: /missing required argument 'network'; see "kubenet add --help"/ },
    { line: ['gc', '--nope'], code: 2, says: /unknown option '--nope'; see "kubenet gc --help"/ },
  ],
  'an unknown network': [
    ['add', 'nope', blue],
    ['check', 'nope', blue],
    ['del', 'nope', blue],
    ['gc', 'nope', '--yes'],
    ['status', 'nope'],
    ['sync', 'nope'],
    ['inspect', '--network', 'nope'],
  ].map(line => ({
    line,
    code: 3,
    says: /no network "nope"(?: in \/run\/net\.d)?; the networks there are "kubenet", "chain"/,
  })),
  'a folder of plugins that is not there': [
    {
      line: ['add', 'kubenet', blue],
      code: 3,
      env: none,
      says: missing('kubenet', 'plugin "kubenet"', '/run/none'),
    },
    {
      line: ['check', 'kubenet', blue],
      code: 3,
      env: none,
      says: missing('kubenet', 'plugin "kubenet"', '/run/none'),
    },
    {
      line: ['del', 'kubenet', blue],
      code: 3,
      env: none,
      says: missing('kubenet', 'plugin "kubenet"', '/run/none'),
    },
    {
      line: ['gc', 'kubenet', '--yes'],
      code: 3,
      env: none,
      says: missing('kubenet', 'plugin "kubenet"', '/run/none'),
    },
    {
      line: [...install, '/run/none', '--no-create'],
      code: 3,
      says: /there is no folder \/run\/none; omit --no-create to create it/,
    },
    {
      line: ['uninstall', '--bin-dir', '/run/none'],
      code: 3,
      says: /none of our plugins is in \/run\/none/,
    },
  ],
  'a set of plugins of which half is there': [
    ['add', 'chain', blue],
    ['del', 'chain', blue],
    ['gc', 'chain', '--yes'],
  ].map(line => ({
    line,
    code: 3,
    env: half,
    says: missing('chain', 'plugin "portmap" and plugin "bandwidth" and plugin "host-local"', '/run/half'),
  })),
  'a folder of networks that is read-only': [
    { line: [...configure, '/run/ro'], code: 1, says: /write to "\/run\/ro": read-only file system/ },
    {
      line: [...configure, '/run/ro/net.d'],
      code: 1,
      says: /make "\/run\/ro\/net\.d": read-only file system/,
    },
    {
      line: [...install, '/run/bin', '--conf-dir', '/run/ro'],
      code: 1,
      says: /write to "\/run\/ro": read-only file system/,
    },
    { line: [...configure, '/run/file'], code: 1, says: /"\/run\/file" is not a folder/ },
  ],
  'a user who may not': [
    ...[
      ['add', 'kubenet', blue],
      ['check', 'kubenet', blue],
      ['del', 'kubenet', blue],
      ['gc', 'kubenet', '--yes'],
      ['sync'],
      ['doctor', '--fix'],
    ].map(line => ({
      line,
      as: asNobody,
      code: 4,
      says: /changing networks needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN; run it as root/,
    })),
    {
      line: [...configure, '/run/net.d'],
      as: asNobody,
      code: 4,
      says: /"\/run\/net\.d[^"]*": permission denied; run it as root/,
    },
    {
      line: [...install, '/opt/cni/bin'],
      as: asNobody,
      code: 4,
      says: /"\/(?:opt|etc)\/[^"]*": permission denied; run it as root/,
    },
  ],
}

for (const flavour of flavours) {
  t.test(`[${flavour}] what kubenet refuses`, async t => {
    const host = await PrivateHost.create(t)
    const program = `${binDir(flavour)}/kubenet`
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_PATH: binDir(flavour), NETCONFPATH: confDir }
    await host.sh(`
      ip netns add blue; mkdir /run/half /run/ro; touch /run/file; mount -t tmpfs -o ro tmpfs /run/ro
      ln -s ${binDir(flavour)}/bridge /run/half; mount -t tmpfs -o mode=755 tmpfs /opt
      export NETCONFPATH=${confDir}
      ${program} config --pod-cidr 10.244.1.0/24 --cni-version 1.1.0 --write > /run/said
      ${program} config --reference --pod-cidr 10.66.0.0/24 --name chain --bridge cni0 > ${confDir}/20-chain.conflist 2> /run/said
      chmod 644 ${confDir}/*`)
    const state = () =>
      host.sh(`
        find /run /opt /var/lib/cni -path /run/netns -prune -o \\( -type d -printf '%p %m\\n' -o -printf '%p %i %m %s %T@\\n' \\) | sort
        ip -o link | sort; ip -o addr show scope global; ip -n blue -o link; nft -s list ruleset; iptables-save | sed '/^#/d; s/\\[.*\\]//'
        sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding`)
    const before = await state()
    // Node.js takes its time to start, and says the same with the same code.
    const some = (refusals: readonly Refusal[]) => (flavour === 'node' ? refusals.slice(0, 1) : refusals)
    for (const [title, refusals] of Object.entries(cases)) {
      await t.test(title, async t => {
        for (const { line, code, says, env: more = {}, as = [] } of some(refusals)) {
          const output = await host.exec([...as, program, ...line], { env: { ...env, ...more } })
          t.same([output.code, output.stdout], [code, ''], line.join(' '))
          t.match(
            output.stderr,
            new RegExp(`^kubenet: ${line[0]}: [^\n]*${says.source}[^\n]*\n$`),
            line.join(' '),
          )
        }
        t.equal(await state(), before, 'nothing is half done')
      })
    }

    await t.test('with --json it is an object besides', async t => {
      const { code, stdout } = await host.exec([program, 'add', 'nope', blue, '--json'], { env })
      t.equal(code, 3)
      t.same(JSON.parse(stdout), {
        error: {
          exitCode: 3,
          message: 'no network "nope" in /run/net.d',
          details: '',
          remedy: 'the networks there are "kubenet", "chain"',
        },
      })
    })

    await t.test('the whole set finishes the work of half a set', async t => {
      const added = await host.exec([program, 'add', 'chain', blue], { env })
      t.equal(added.code, 0, added.stderr)
      const was = await state()
      const refused = await host.exec([program, 'del', 'chain', blue], { env: { ...env, ...half } })
      t.equal(refused.code, 3)
      t.equal(await state(), was)
      t.equal((await host.exec([program, 'del', 'chain', blue], { env })).code, 0)
      t.equal(
        await host.sh('ls /var/lib/cni/networks/chain | grep 10.66 || true; ls /var/lib/cni/results'),
        '',
      )
    })
  })
}
