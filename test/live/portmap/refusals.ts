/** What portmap refuses: the exact code, a text that names the entry, and nothing changed on the host. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { anyFlavour, binDir, flavours, type Json } from '../../fixtures/cni'
import { PortHost } from '../../plugins/portmap/fixtures/port-host'

const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }

const withMapping = (mapping: Json): Json => ({ runtimeConfig: { portMappings: [{ ...web, ...mapping }] } })

type Refusal = { conf: Json; code?: number; msg: string | RegExp; details?: RegExp }

/** Refused before anything is looked at, by every verb that reads the configuration. */
const invalid: Refusal[] = [
  { conf: withMapping({ hostPort: 0 }), msg: 'failed to parse config: Invalid host port number: 0' },
  {
    conf: withMapping({ hostPort: 65536 }),
    msg: 'failed to parse config: Invalid host port number: 65536',
    details: /^in portMappings\[0\]$/,
  },
  { conf: withMapping({ hostPort: '80' }), msg: /portMappings\.0\.hostPort": expected number/ },
  { conf: withMapping({ hostPort: 1.5 }), msg: /hostPort": expected a whole number but received 1\.5$/ },
  {
    conf: withMapping({ containerPort: -1 }),
    msg: 'failed to parse config: Invalid container port number: -1',
  },
  {
    conf: withMapping({ protocol: 'icmp' }),
    msg: /unknown protocol "icmp" in portMappings\[0\], host port 8080$/,
  },
  { conf: withMapping({ protocol: 'tcp -j ACCEPT' }), msg: /unknown protocol "tcp -j ACCEPT"/ },
  { conf: withMapping({ hostIP: '192.0.2.1; reboot' }), msg: /hostIP/ },
  { conf: { ...withMapping({}), backend: 'ebpf' }, msg: /unrecognized backend "ebpf"$/ },
  {
    conf: { ...withMapping({}), markMasqBit: 5, externalSetMarkChain: 'KUBE-MARK-MASQ' },
    msg: 'failed to parse config: Cannot specify externalSetMarkChain and markMasqBit',
  },
  { conf: { ...withMapping({}), markMasqBit: 32 }, msg: /MasqMarkBit must be between 0 and 31$/ },
  {
    conf: { ...withMapping({}), externalSetMarkChain: 'X -j ACCEPT\n-A INPUT' },
    msg: /"externalSetMarkChain": "X -j ACCEPT\\n-A INPUT" is no valid chain name$/,
  },
  {
    conf: { ...withMapping({}), backend: 'iptables', conditionsV4: ['ip saddr 10.0.0.1'] },
    msg: /^failed to parse config: iptables backend was requested but configuration contains nftables-specific options \[conditionsV4\]$/,
  },
  {
    conf: {
      ...withMapping({}),
      backend: 'nftables',
      externalSetMarkChain: 'X',
      conditionsV6: ['!', '-s', '::1'],
    },
    msg: /^failed to parse config: nftables backend was requested but configuration contains iptables-specific options \[externalSetMarkChain conditionsV6\]$/,
  },
  {
    conf: { ...withMapping({}), conditionsV4: ['-s', '10.0.0.1\nCOMMIT\n*filter'] },
    msg: /"conditionsV4": .* has a control character$/,
  },
  {
    conf: { ...withMapping({}), conditionsV4: ['ip saddr 10.0.0.1; flush ruleset'] },
    msg: /"conditionsV4": .* has a control character or one of ; # \\$/,
  },
  {
    conf: { ...withMapping({}), conditionsV6: ['ip6 saddr ::1 accept #'] },
    msg: /"conditionsV6": .* has a control character or one of ; # \\$/,
  },
]

/** Words that another program reads: refused there, as words, by ADD. */
const notUnderstood: Refusal[] = [
  { conf: { conditionsV4: ['-s', '$(touch /run/pwned)'] }, msg: /iptables/ },
  { conf: { conditionsV4: ['!', '`touch /run/pwned`'] }, msg: /iptables/ },
  { conf: { conditionsV4: ['-j', 'ACCEPT'] }, msg: /iptables/ },
  { conf: { conditionsV4: ['ip saddr $(touch /run/pwned)'] }, msg: /nft/ },
  { conf: { conditionsV4: ['} table ip pwned {'] }, msg: /nft/ },
  { conf: { conditionsV4: ['ip saddr 10.0.0.1 comment "x" accept'] }, msg: /nft/ },
]

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] bad input`, async t => {
    const host = await PortHost.create(t, { flavour })
    const pod = await host.namedPod('c1')
    for (const backend of ['iptables', 'nftables']) {
      await pod.must('ADD', pod.conf(['1:1/tcp'], { backend }))
      await pod.must('DEL', pod.conf(['1:1/tcp'], { backend }))
    }
    const before = await host.state()

    for (const [i, { conf, code = 7, msg, details }] of invalid.entries()) {
      await t.test(JSON.stringify(conf).slice(0, 120), async t => {
        // What reads a configuration does so for all verbs.
        for (const command of i < 2 ? ['ADD', 'DEL', 'GC'] : ['ADD']) {
          const answer = await pod.call(command, { ...pod.conf([], { cniVersion: '1.1.0' }), ...conf })
          t.same([answer.code, answer.stderr], [1, ''])
          t.match(answer.json, { cniVersion: '1.1.0', code, msg }, command)
          if (typeof msg === 'string' && !details) t.equal(answer.json.details, undefined)
          if (details) t.match(answer.json.details, details)
        }
      })
    }

    for (const { conf, msg } of notUnderstood) {
      await t.test(JSON.stringify(conf), async t => {
        const { code, json } = await pod.call('ADD', pod.conf(['8080:80/tcp'], conf))
        t.equal(code, 1)
        t.match(json, { code: 7, msg })
      })
    }

    await t.test('a call that is not chained', async t => {
      const bare = pod.conf(['8080:80/tcp'], { prevResult: undefined })
      const add = await pod.call('ADD', bare)
      t.match(add.json, { code: 7, msg: 'must be called as chained plugin' })
      const check = await pod.call('CHECK', bare)
      t.match(check.json, { code: 7, msg: 'Required prevResult missing' })
      t.equal((await pod.call('DEL', bare)).code, 0, 'DEL does not need it')
      t.match((await pod.call('ADD', pod.conf(['8080:80/tcp'], { prevResult: 'x' }))).json, { code: 6 })
      t.equal(
        (await pod.call('DEL', pod.conf(['8080:80/tcp'], { prevResult: 'x' }))).code,
        0,
        'or with a torn one',
      )
    })

    await t.test('numbers that JSON does not have', async t => {
      const text = JSON.stringify(pod.conf(['8080:80/tcp']))
      t.match((await pod.call('ADD', text.replace('8080', 'NaN'))).json, { code: 6 })
      t.match((await pod.call('ADD', text.replace('8080', '1e999'))).json, { code: 7, msg: /hostPort/ })
    })

    t.equal(await host.state(), before, 'nothing has changed')
    t.equal((await host.host.exec(['test', '-e', '/run/pwned'])).code, 1)
    t.equal(await host.host.sh('nft list tables | grep pwned || true'), '')
  })
}

for (const flavour of flavours) {
  t.test(`[${flavour}] results and recorded calls`, async t => {
    const host = await PortHost.create(t, { flavour })
    const pod = await host.namedPod('c1')

    await t.test('prevResult is the result, in every version', async t => {
      const versions = flavour === 'node' ? ['1.0.0'] : ['0.3.1', '0.4.0', '1.1.0']
      for (const cniVersion of versions) {
        const conf = pod.conf(['8080:80/tcp'], { cniVersion })
        const { json } = await pod.must('ADD', conf)
        t.same(json, conf.prevResult, cniVersion)
        await pod.must('DEL', conf)
      }
      const { json } = await pod.must('VERSION', {})
      t.same(json.supportedVersions, ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])
    })

    await t.test('without mappings nothing is done', async t => {
      const before = await host.state()
      for (const runtimeConfig of [undefined, {}, { portMappings: null }, { portMappings: [] }]) {
        const conf = pod.conf([], { runtimeConfig })
        t.same((await pod.must('ADD', conf)).json, conf.prevResult)
        await pod.must('CHECK', conf)
      }
      t.equal(await host.state(), before)
    })

    await t.test('calls recorded from cnitool and containerd', async t => {
      const recorded = (name: string): Json =>
        JSON.parse(readFileSync(join(__dirname, `../../plugins/portmap/fixtures/${name}.json`), 'utf8'))
      const before = await host.state()
      for (const runtime of ['cnitool', 'containerd']) {
        const { containerID, ifName, args, stdin, stdout } = recorded(`${runtime}-add`)
        const options = { containerID, ifName, args, netns: pod.netns }
        const added = await host.call('ADD', stdin, options)
        t.same(added.json, stdout, runtime)
        const rules = await host.nat()
        t.match(
          rules,
          `-p udp -m udp --dport 18080 -j DNAT --to-destination ${runtime === 'cnitool' ? '10.250.1.2' : '10.250.11.10'}:5353`,
        )
        const del = { ...recorded(`${runtime}-del`).stdin, name: stdin.name }
        for (const netns of [pod.netns, ''])
          t.equal((await host.call('DEL', del, { ...options, netns })).code, 0)
      }
      t.equal(await host.state(), before)
    })
  })

  t.test(`[${flavour}] STATUS`, async t => {
    const host = await PortHost.create(t, { flavour })
    const status = (more: Json = {}, env = {}) =>
      host.call('STATUS', { cniVersion: '1.1.0', name: 'net', type: 'portmap', ...more }, { env })
    const before = await host.state()
    for (const backend of [undefined, 'iptables', 'nftables']) {
      const { code, stdout, stderr } = await status({ backend })
      t.same([code, stdout, stderr], [0, '', ''], backend ?? 'by default')
    }
    // The node flavour is started by env, which must find node.
    const noPrograms = { PATH: flavour === 'node' ? dirname(process.execPath) : '/nowhere' }
    t.match((await status({ backend: 'iptables' }, noPrograms)).json, {
      code: 50,
      msg: 'portmap: the backend iptables cannot be used',
      details: /iptables/,
    })
    t.equal((await status({ backend: 'nftables' }, noPrograms)).code, 0, 'nftables needs none')
    const words = { backend: 'nftables', conditionsV4: ['ip saddr 10.0.0.1'] }
    t.match((await status(words, noPrograms)).json, { code: 50, details: /nft is not in PATH/ })
    t.equal(await host.state(), before)

    const unprivileged = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
    const { stdout } = await host.host.exec([...unprivileged, `${binDir(flavour)}/portmap`], {
      stdin: JSON.stringify({ cniVersion: '1.1.0', name: 'net', type: 'portmap', backend: 'nftables' }),
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_COMMAND: 'STATUS', CNI_PATH: binDir(flavour) },
    })
    t.match(JSON.parse(stdout), { code: 50, details: /EPERM/ })

    await host.host.sh('iptables-legacy -t nat -N x; iptables-legacy -t nat -A x -j RETURN')
    await host.host.sh('iptables-nft -t nat -N x; iptables-nft -t nat -A x -j RETURN')
    const mixed = await status({ backend: 'iptables' })
    t.equal(mixed.code, 0)
    t.match(mixed.stderr, /iptables-legacy and iptables-nft both have NAT rules/)
  })
}
