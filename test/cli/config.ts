import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cli } from './fixtures/cli'

const golden = (name: string): string => readFileSync(join(__dirname, 'fixtures/golden', name), 'utf8')

t.test('kubelet’s flags become the network they meant', async t => {
  const cases = new Map([
    ['default.json', '--pod-cidr 10.244.1.0/24'],
    ['dual-stack.json', '--pod-cidr 10.244.1.0/24,fd00:244:1::/64'],
    ['ipv6.json', '--pod-cidr fd00:244:1::/64 --cni-version 1.1.0 --name pods'],
    [
      'all.json',
      '--network-plugin kubenet --pod-cidr 10.244.1.0/24 --pod-cidr fd00:244:1::/64 --network-plugin-mtu 9000 ' +
        '--hairpin-mode hairpin-veth --non-masquerade-cidr 10.0.0.0/8,192.168.0.0/16 --bridge br1',
    ],
    [
      'one-family.json',
      '--pod-cidr 10.244.1.0/24,fd00:244:1::/64 --non-masquerade-cidr fd00::/8 --non-masquerade-cidr fd12::/16',
    ],
    [
      'more-keys.json',
      '--pod-cidr 10.244.1.0/24 --network-plugin-mtu auto --mtu-overhead 50 --backend nftables ' +
        '--host-listeners refuse --log-file /var/log/kubenet.log --log-level debug',
    ],
    ['no-masquerade.json', '--pod-cidr 10.244.1.0/24,fd00:244:1::/64 --non-masquerade-cidr 0.0.0.0/0'],
    ['reference.json', '--reference --pod-cidr 10.244.1.0/24,fd00:244:1::/64'],
    [
      'reference-hairpin.json',
      '--reference --pod-cidr 10.244.1.0/24 --hairpin-mode hairpin-veth --network-plugin-mtu 1400 ' +
        '--non-masquerade-cidr 0.0.0.0/0',
    ],
  ])
  for (const [name, flags] of cases) {
    const { code, stdout } = await cli(['config', ...flags.split(' ')])
    t.equal(code, 0, name)
    t.equal(stdout, golden(name), name)
  }
})

t.test('--json has the same network in it', async t => {
  const { stdout } = await cli(['config', '--json', '--pod-cidr', '10.244.1.0/24'])
  t.same(JSON.parse(stdout), {
    networkPlugin: 'kubenet',
    config: JSON.parse(golden('default.json')),
    written: false,
  })
})

t.test('flags that cannot be are refused with one line that says what would be right', async t => {
  const cases = new Map([
    [
      '',
      "--pod-cidr is missing: the range of this node's pods; in a cluster: kubectl get node NAME -o jsonpath={.spec.podCIDRs}",
    ],
    [
      '--pod-cidr 10.244.1.0',
      '--pod-cidr: "10.244.1.0" is not a network: it needs a prefix length, as in 10.244.1.0/24',
    ],
    ['--pod-cidr 10.244.1/24', '--pod-cidr: "10.244.1/24" is not a network'],
    ['--pod-cidr 10.244.01.0/24', '--pod-cidr: "10.244.01.0/24" is not a network'],
    [
      '--pod-cidr 10.244.1.7/24',
      '--pod-cidr: "10.244.1.7/24" has host bits set; its network is 10.244.1.0/24',
    ],
    ['--pod-cidr fd00::1/64', '--pod-cidr: "fd00::1/64" has host bits set; its network is fd00::/64'],
    [
      '--pod-cidr 10.244.1.0/31',
      '--pod-cidr: "10.244.1.0/31" has no room for pods: the longest prefix is /30',
    ],
    ['--pod-cidr fd00::/127', '--pod-cidr: "fd00::/127" has no room for pods: the longest prefix is /126'],
    [
      '--pod-cidr 10.1.0.0/24,10.2.0.0/24',
      '--pod-cidr: 10.1.0.0/24 and 10.2.0.0/24 are both IPv4; dual stack is one of each',
    ],
    [
      '--pod-cidr 10.1.0.0/24 --non-masquerade-cidr ten',
      '--non-masquerade-cidr: "ten" is not a network: it needs a prefix length, as in 10.244.1.0/24',
    ],
    [
      '--pod-cidr 10.1.0.0/24 --network-plugin-mtu 70000',
      '--network-plugin-mtu: "70000" is not an MTU: 0 for the node\'s own, "auto", or 68 to 65535',
    ],
    [
      '--pod-cidr fd00::/64 --network-plugin-mtu 1200',
      '--network-plugin-mtu: 1200 is too small for IPv6, which needs 1280',
    ],
    [
      '--pod-cidr 10.1.0.0/24 --hairpin-mode yes',
      '--hairpin-mode: "yes" is none of promiscuous-bridge, hairpin-veth, none',
    ],
    [
      '--pod-cidr 10.1.0.0/24 --bridge averyveryverylongname',
      '--bridge: interface name is too long: "averyveryverylongname" has more than 15 bytes',
    ],
    [
      '--pod-cidr 10.1.0.0/24 --name ../x',
      '--name: "../x" is no network name: letters, digits, "_", "." and "-", the first a letter or digit',
    ],
    [
      '--network-plugin calico',
      '--network-plugin: network plugin "calico" not found; the known plugins are "cni", "kubenet", "noop"',
    ],
    [
      '--network-plugin cni --write',
      '--network-plugin cni uses the networks in the folder: there is nothing to write',
    ],
  ])
  for (const [flags, message] of cases) {
    const output = await cli(['config', ...flags.split(' ').filter(Boolean)])
    t.same(output, { code: 2, stdout: '', stderr: `kubenet: config: ${message}\n` }, flags)
  }
})

t.test('--write puts the network into its folder, once', async t => {
  const folder = t.testdir({})
  const line = ['config', '--pod-cidr', '10.244.1.0/24', '--write', '--cni-conf-dir', `${folder}/net.d`]
  const first = await cli(line, { env: { CNI_PATH: folder } })
  const file = `${folder}/net.d/10-kubenet.conflist`
  t.equal(first.stdout, `${file} is written\n`)
  t.match(first.stderr, /plugin "kubenet" is not in .*; "kubenet install" puts ours in place/)
  t.equal(readFileSync(file, 'utf8'), golden('default.json'))
  t.equal((await cli(line)).stdout, `${file} is unchanged\n`)
})

t.test('it says what keeps the network from being the default', async t => {
  const other = JSON.stringify({ cniVersion: '1.0.0', name: 'kubenet', plugins: [{ type: 'ptp' }] })
  const folder = t.testdir({ '05-other.conflist': other })
  const line = ['config', '--pod-cidr', '10.244.1.0/24', '--write', '--cni-conf-dir', folder]
  const { stderr } = await cli(line)
  t.match(stderr, /05-other.conflist comes first, so that "kubenet" stays the default network/)
  t.match(stderr, /05-other.conflist has a network "kubenet" too/)
})

t.test('--no-create does not make the folder', async t => {
  const folder = t.testdir({})
  const line = [
    'config',
    '--pod-cidr',
    '10.244.1.0/24',
    '--write',
    '--no-create',
    '--cni-conf-dir',
    `${folder}/x`,
  ]
  const { code, stderr } = await cli(line)
  t.equal(code, 3)
  t.equal(stderr, `kubenet: config: there is no folder ${folder}/x; omit --no-create to create it\n`)
})

t.test('"cni" is the first network whose plugins are there and speak its version', async t => {
  const plugin = `#!/bin/sh\necho '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'\n`
  const list = (name: string, type: string, cniVersion = '1.0.0') =>
    JSON.stringify({ cniVersion, name, plugins: [{ type }] })
  const folder = t.testdir({
    bin: { there: plugin },
    'net.d': {
      '10-broken.conflist': '{',
      '20-absent.conflist': list('absent', 'nowhere'),
      '30-old.conflist': list('old', 'there', '0.4.0'),
      '40-good.conflist': list('good', 'there'),
    },
  })
  chmodSync(`${folder}/bin/there`, 0o755)
  const line = ['config', '--network-plugin', 'cni', '--cni-conf-dir', `${folder}/net.d`]
  const { code, stdout, stderr } = await cli(line, { env: { CNI_PATH: `${folder}/bin` } })
  t.equal(code, 0, stderr)
  t.equal(JSON.parse(stdout).name, 'good')
  t.match(stderr, /10-broken.conflist:1:2: .*; the file is skipped/)
  t.match(stderr, /20-absent.conflist is skipped: failed to find plugin "nowhere"/)
  t.match(stderr, /30-old.conflist is skipped: plugin there does not support config version "0.4.0"/)
  t.match(stderr, /the default network is "good"/)
})

t.test('"cni" without a valid network is not found', async t => {
  const folder = t.testdir({})
  const { code, stderr } = await cli(['config', '--network-plugin', 'cni', '--cni-conf-dir', folder])
  t.equal(code, 3)
  t.match(stderr, /^kubenet: config: no valid network in [^\n]*\n$/)
})
