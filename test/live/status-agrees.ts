/**
 * STATUS and ADD agree: whatever is wrong with a host, STATUS answers that a plugin is ready if, and only if, its ADD
 * succeeds.
 */
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { anyFlavour, binDir, type Flavour, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'
import { withoutNftables } from '../fixtures/without-nftables'

const ranges = [[{ subnet: '10.1.2.0/28' }], [{ subnet: 'fd00:2::/64' }]]
const v4 = { type: 'host-local', ranges: ranges.slice(0, 1) }
const common = { cniVersion: '1.1.0', name: 'net' }

const confs = {
  bridge: {
    type: 'bridge',
    bridge: 'br0',
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', ranges },
  },
  'bridge, IPv4': { type: 'bridge', bridge: 'br0', isGateway: true, ipam: v4 },
  'bridge, no gateway': { type: 'bridge', bridge: 'br0', ipam: { type: 'host-local', ranges } },
  'bridge, layer 2': { type: 'bridge', bridge: 'br0' },
  'bridge, iptables': { type: 'bridge', bridge: 'br0', ipMasq: true, ipMasqBackend: 'iptables', ipam: v4 },
  'bridge, macspoofchk': { type: 'bridge', bridge: 'br0', macspoofchk: true, ipam: v4 },
  'bridge, no MTU for IPv6': {
    type: 'bridge',
    bridge: 'br0',
    mtu: 1000,
    ipam: { type: 'host-local', ranges },
  },
  'bridge, IPv6 off': { type: 'bridge', bridge: 'br0', ipv6: 'off', ipam: { type: 'host-local', ranges } },
  'host-local': { type: 'host-local', ipam: { type: 'host-local', ranges } },
  loopback: { type: 'loopback' },
  portmap: { type: 'portmap' },
  'portmap, nftables': { type: 'portmap', backend: 'nftables' },
  'portmap, no snat': { type: 'portmap', backend: 'nftables', snat: false },
  bandwidth: { type: 'bandwidth' },
  kubenet: { type: 'kubenet', podCIDRs: ['10.1.2.0/28', 'fd00:2::/64'] },
  'kubenet, IPv4, iptables': { type: 'kubenet', podCIDR: '10.1.2.0/28', backend: 'iptables' },
} as const satisfies Readonly<Record<string, Json>>

type Setup = keyof typeof confs

/** What no host could do. */
const refused: readonly Setup[] = ['bridge, no MTU for IPv6', 'bridge, IPv6 off']

const all = Object.keys(confs) as Setup[]
const having = (...types: string[]): Setup[] => all.filter(setup => types.includes(confs[setup].type))

type Cause = {
  readonly what: string
  /** A shell script that makes it so, given the folder of the plugins. */
  readonly script?: (bin: string) => string
  /** Words before the program, and its PATH. */
  readonly words?: readonly string[]
  readonly path?: string
  /** In a user namespace. */
  readonly users?: boolean
  /** Which of them cannot connect containers then; undefined where it only matters that the two verbs agree. */
  readonly failing: readonly Setup[] | undefined
  /** Those it is tried with; all where it is left out. */
  readonly of?: readonly Setup[]
}

const searchPath = '/usr/sbin:/usr/bin:/sbin:/bin'

const readOnly = 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys'
const forwarding = 'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1'
const withIPv6 = ['bridge', 'kubenet'] as const

/** Fills the range of IPv4 with leases of containers of whom nothing is known but their IDs. */
const full = `
  mkdir -p /var/lib/cni/networks/net
  for i in $(seq 2 14); do printf 'old\\r\\neth0' > /var/lib/cni/networks/net/10.1.2.$i; done`

const leasing = having('bridge', 'host-local', 'kubenet').filter(setup => setup !== 'bridge, layer 2')

const causes: readonly Cause[] = [
  { what: 'nothing is wrong', failing: [], of: all.filter(setup => !refused.includes(setup)) },
  { what: 'the configuration is', failing: refused, of: refused },
  {
    what: 'forwarding is off, and can be turned on',
    script: () => 'sysctl -qw net.ipv4.ip_forward=0',
    failing: [],
  },
  {
    what: 'IPv6 is off on all interfaces',
    script: () => 'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1',
    failing: withIPv6,
  },
  {
    what: 'IPv6 is off on the bridge',
    script: () =>
      'for i in br0 cbr0; do ip link add $i type bridge; sysctl -qw net.ipv6.conf.$i.disable_ipv6=1; done',
    failing: withIPv6,
  },
  {
    what: 'IPv6 is off on all interfaces, and on for the bridge',
    script: () => `
      sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
      for i in br0 cbr0; do ip link add $i type bridge; sysctl -qw net.ipv6.conf.$i.disable_ipv6=0; done`,
    failing: [],
  },
  {
    what: 'the sysctls are read-only, and right',
    script: () =>
      `${forwarding}; sysctl -qw net.ipv4.conf.default.route_localnet=1 net.ipv4.conf.all.route_localnet=1; ${readOnly}`,
    failing: [],
  },
  {
    what: 'the sysctls are read-only, and forwarding is off',
    script: () => `sysctl -qw net.ipv4.ip_forward=0; ${readOnly}`,
    failing: ['bridge', 'bridge, IPv4', 'portmap', 'portmap, nftables', ...having('kubenet')],
  },
  {
    what: 'the sysctls are read-only, and forwarding of IPv6 is off',
    script: () => `sysctl -qw net.ipv4.ip_forward=1; ${readOnly}`,
    failing: ['bridge', 'portmap', 'portmap, nftables', ...having('kubenet')],
  },
  {
    what: 'no iptables is in PATH',
    path: '/run/empty',
    failing: ['bridge, iptables', 'kubenet, IPv4, iptables'],
  },
  {
    what: 'the kernel has no nf_tables',
    words: withoutNftables,
    path: '/run/empty',
    failing: [
      ...(['bridge', 'bridge, iptables', 'bridge, macspoofchk'] as const),
      ...having('portmap', 'kubenet'),
    ],
  },
  {
    what: 'the bridge’s name is another interface’s',
    script: () => 'ip link add br0 type veth peer name x; ip link add cbr0 type veth peer name y',
    failing: having('bridge', 'kubenet'),
  },
  { what: 'the range is full', script: () => full, failing: leasing },
  {
    what: 'the range is full except one address',
    script: () => `${full}; rm /var/lib/cni/networks/net/10.1.2.14`,
    failing: [],
  },
  {
    what: 'the range is full except the additional address of the bridge',
    script: () => `
      ${full}; rm /var/lib/cni/networks/net/10.1.2.14
      ip link add br0 type bridge; ip addr add 10.1.2.1/28 dev br0; ip addr add 10.1.2.14/28 dev br0`,
    of: ['bridge, no gateway'],
    failing: ['bridge, no gateway'],
  },
  {
    what: 'the range is full of torn leases',
    script: () => `${full}; for i in /var/lib/cni/networks/net/10.*; do : > $i; done`,
    failing: [],
  },
  {
    what: 'the range is full of containers that have ended',
    script: bin => `
      export PATH=${searchPath} CNI_COMMAND=ADD CNI_IFNAME=eth0 CNI_PATH=${bin}
      for i in $(seq 13); do
        ip netns add e$i
        echo '${JSON.stringify({ ...common, ...confs['host-local'], ipam: v4 })}' |
          CNI_CONTAINERID=e$i CNI_NETNS=/run/netns/e$i ${bin}/host-local > /run/out
        ip netns del e$i
      done`,
    of: leasing,
    failing: undefined,
  },
  {
    what: 'the leases cannot be written',
    script: () => 'mount -o remount,ro /var/lib/cni',
    failing: leasing,
  },
  { what: 'the process is root in a user namespace', users: true, failing: [] },
  {
    what: 'the process may not enter namespaces',
    words: ['/usr/bin/setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'],
    failing: having('bridge', 'loopback', 'bandwidth', 'kubenet'),
  },
]

const runtimeConfig = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
  bandwidth: { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 },
}

const isChained = (type: string): boolean => type === 'portmap' || type === 'bandwidth'

/** What the runtime asks of a plugin, so that its ADD has something to do. */
const askedOf = (type: string): Json => {
  const { portMappings, bandwidth } = runtimeConfig
  if (type === 'kubenet') return { runtimeConfig }
  if (type === 'portmap') return { runtimeConfig: { portMappings } }
  return type === 'bandwidth' ? { runtimeConfig: { bandwidth } } : {}
}

/** What a chained plugin finds. */
const first = {
  ...{ ...common, name: 'first', type: 'bridge', bridge: 'first', isGateway: true },
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.9.0.0/24' }]] },
}

/** Asks each of them for its STATUS, and then adds a container by it. */
const tryCause = async (t: Test, flavour: Flavour, cause: Cause): Promise<void> => {
  const { what, script, words = [], path = searchPath, users = false, failing } = cause
  const bin = binDir(flavour)
  const host = await PrivateHost.create(t, { users })
  const run = (
    command: string,
    conf: Json,
    containerID: string,
    { before = words, search = path }: { before?: readonly string[]; search?: string } = {},
  ) =>
    host.exec([...before, `${bin}/${conf.type}`], {
      stdin: JSON.stringify(conf),
      env: {
        ...{ PATH: search, CNI_PATH: bin, CNI_COMMAND: command, CNI_CONTAINERID: containerID },
        ...{ CNI_IFNAME: 'eth0', CNI_NETNS: `/run/netns/${containerID}` },
      },
    })
  const setups = (cause.of ?? all.filter(setup => !refused.includes(setup))).map((setup, i) => ({
    setup,
    conf: { ...common, ...confs[setup] },
    containerID: `c${i}`,
  }))
  await host.sh(`mkdir /run/empty; ln -s ${process.execPath} /run/empty/node`)
  const results = new Map<Setup, Json>()
  for (const { setup, conf, containerID } of setups) {
    await host.netns(containerID)
    if (!isChained(conf.type)) continue
    const { stdout } = await run('ADD', first, containerID, { before: [], search: searchPath })
    results.set(setup, JSON.parse(stdout))
  }
  await host.sh(script?.(bin) ?? ':')
  for (const { setup, conf, containerID } of setups) {
    const status = await run('STATUS', conf, containerID)
    const asked = { ...conf, ...askedOf(conf.type), prevResult: results.get(setup) }
    const add = await run('ADD', asked, containerID)
    const about = `${setup}, where ${what}`
    const ready = failing ? !failing.includes(setup) : add.code === 0
    t.equal(add.code === 0, ready, `${about}: ADD\n${add.code === 0 ? '' : add.stdout}${add.stderr}`)
    t.equal(status.code === 0, ready, `${about}: STATUS\n${status.stdout}${status.stderr}`)
    const code = refused.includes(setup) ? 7 : 50
    if (status.code !== 0) t.match(JSON.parse(status.stdout), { code, msg: /./ }, about)
    // The rules of one would be in the way of the next.
    await run('DEL', asked, containerID)
  }
}

for (const flavour of anyFlavour) {
  for (const cause of causes) {
    const skip =
      cause.words === withoutNftables && !existsSync(withoutNftables[0] ?? '') ? 'needs python3' : false
    t.test(`[${flavour}] STATUS is right where ${cause.what}`, { skip }, t => tryCause(t, flavour, cause))
  }
}
