/**
 * STATUS of every plugin: each thing that would make the next ADD fail is code 50 with its reason, and is an answer
 * about the host as it is, which is as it was afterwards.
 */
import t, { type Test } from 'tap'
import { anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/29' }], [{ subnet: 'fd00:2::/64' }]] }

const confs: Readonly<Record<string, Json>> = {
  bridge: {
    bridge: 'br0',
    isGateway: true,
    ipMasq: true,
    dropInvalid: true,
    macspoofchk: true,
    prune: true,
    ipam,
  },
  'host-local': { ipam },
  loopback: {},
  portmap: { backend: 'nftables' },
  bandwidth: {},
  kubenet: { backend: 'nftables', podCIDRs: ['10.1.2.0/29', 'fd00:2::/64'] },
}

type Case = {
  what: string
  /** Shell scripts that make it so, and that take it back. */
  broken: string
  repair: string
  plugin: string
  more?: Json
  msg: string
  details?: RegExp
}

/** Makes /proc/sys read-only, as it is in a container. */
const readOnlySys = {
  broken: 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys',
  repair: 'umount /proc/sys',
}

const fullDisk = {
  broken: `
    mkdir /run/full; mount -t tmpfs -o size=4k tmpfs /run/full; mkdir /run/full/leases
    echo x > /run/full/x`,
  repair: 'umount /run/full; rmdir /run/full',
}

const cases: Case[] = [
  {
    what: 'IPv6 forwarding that cannot be turned on',
    broken: `sysctl -qw net.ipv4.ip_forward=1; ${readOnlySys.broken}`,
    repair: `${readOnlySys.repair}; sysctl -qw net.ipv4.ip_forward=0`,
    plugin: 'bridge',
    msg: 'bridge: net.ipv6.conf.all.forwarding is 0 and cannot be set',
    details: /^EROFS/,
  },
  {
    what: 'a bridge without a lock',
    broken: 'cd /run/kubenet-cni/bridges; rm br0; mkdir br0',
    repair: 'rmdir /run/kubenet-cni/bridges/br0',
    plugin: 'bridge',
    msg: 'bridge: "prune": the lock of "br0" cannot be taken',
    details: /^lock "\/run\/kubenet-cni\/bridges\/br0": EISDIR/,
  },
  {
    what: 'a bridge with a port that is too small',
    broken:
      'ip link add br0 type bridge; ip link add p0 mtu 1400 type veth peer name p1; ip link set p0 master br0',
    repair: 'ip link del p0; ip link del br0',
    plugin: 'bridge',
    more: { mtu: 9000 },
    msg: 'bridge: "mtu" is 9000, but bridge "br0" has 1400 and cannot be raised',
    details: /^its port "p0" has MTU 1400/,
  },
  {
    what: 'a bridge that is none',
    broken: 'ip link add br0 type veth peer name p1',
    repair: 'ip link del br0',
    plugin: 'bridge',
    msg: 'bridge: "br0" already exists but is not a bridge',
    details: /^it is a veth$/,
  },
  {
    what: 'an IPAM plugin that is not there',
    broken: ':',
    repair: ':',
    plugin: 'bridge',
    more: { ipam: { type: 'absent' } },
    msg: 'failed to find plugin "absent" in path',
  },
  {
    what: 'a full disk, by way of the IPAM plugin',
    ...fullDisk,
    plugin: 'bridge',
    more: { ipam: { ...ipam, dataDir: '/run/full/leases' } },
    msg: 'host-local: /run/full/leases cannot be used',
    details: /^ENOSPC/,
  },
  {
    what: 'a full disk',
    ...fullDisk,
    plugin: 'host-local',
    more: { ipam: { ...ipam, dataDir: '/run/full/leases' } },
    msg: 'host-local: /run/full/leases cannot be used',
    details: /^ENOSPC/,
  },
  {
    what: 'a resolvConf that is not there',
    broken: ':',
    repair: ':',
    plugin: 'host-local',
    more: { ipam: { ...ipam, resolvConf: '/run/none' } },
    msg: 'host-local: "resolvConf": /run/none cannot be used',
    details: /^read resolvConf "\/run\/none"; ENOENT/,
  },
  {
    what: 'sysctls that cannot be set',
    ...readOnlySys,
    plugin: 'portmap',
    msg: 'portmap: net.ipv4.conf.*.route_localnet cannot be set, which "snat" needs',
    details: /^EROFS.*"snat": false does not need it$/,
  },
  {
    what: 'sysctls that cannot be set',
    ...readOnlySys,
    plugin: 'kubenet',
    msg: 'portmap: net.ipv4.conf.*.route_localnet cannot be set, which "snat" needs',
    details: /^EROFS/,
  },
  {
    what: 'a full disk',
    ...fullDisk,
    plugin: 'kubenet',
    more: { dataDir: '/run/full/leases' },
    msg: 'host-local: /run/full/leases cannot be used',
    details: /^ENOSPC/,
  },
]

/** What a host without these rights answers: entering a namespace is not possible, changing links is. */
const withoutRights = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin']

const testStatus = async (t: Test, host: PrivateHost, bin: string) => {
  const confOf = (plugin: string, more: Json = {}): Json => ({
    cniVersion: '1.1.0',
    name: 'net',
    type: plugin,
    ...confs[plugin],
    ...more,
  })
  const status = (plugin: string, more: Json = {}) =>
    call(host, bin, plugin, confOf(plugin, more), { command: 'STATUS', containerID: '', ifName: '' })

  await host.sh('iptables -t nat -N x; iptables -t nat -X x')
  const before = await host.snapshot()
  for (const plugin of Object.keys(confs)) {
    const { code, stdout, stderr } = await status(plugin)
    t.same([code, stdout, stderr], [0, '', ''], `${plugin}: ready`)
  }
  t.equal(await host.snapshot(), before, 'asking changes nothing')

  for (const { what, broken, repair, plugin, more, msg, details } of cases) {
    await host.sh(broken)
    const { code, json } = await status(plugin, more)
    t.equal(code, 1, `${plugin}: ${what}`)
    t.match(json, { cniVersion: '1.1.0', code: 50, msg, ...(details && { details }) }, `${plugin}: ${what}`)
    await host.sh(repair)
  }
  t.equal(await host.snapshot(), before, 'neither does it where something is wrong')

  t.equal((await status('portmap', { snat: false })).code, 0)
  for (const plugin of ['bridge', 'loopback', 'bandwidth', 'kubenet']) {
    const { stdout } = await host.exec([...withoutRights, `${bin}/${plugin}`], {
      stdin: JSON.stringify(confOf(plugin)),
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', CNI_COMMAND: 'STATUS', CNI_PATH: bin },
    })
    t.match(
      JSON.parse(stdout || '{}'),
      {
        code: 50,
        msg: /: this process may not change the network of containers$/,
        details: /^it lacks CAP_SYS_ADMIN/,
      },
      `${plugin}: without the right to enter namespaces`,
    )
  }
}

for (const flavour of anyFlavour)
  t.test(`[${flavour}] STATUS`, async t => testStatus(t, await PrivateHost.create(t), binDir(flavour)))

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] STATUS knows a kernel whose bridges tell no VLANs apart, as ADD does`, async t => {
    const host = await PrivateHost.create(t)
    const netns = await host.netns('c1')
    const conf = { cniVersion: '1.1.0', name: 'net', type: 'bridge', bridge: 'br0', vlan: 5 }
    const bin = binDir(flavour)
    const status = await call(host, bin, 'bridge', conf, { command: 'STATUS' })
    const add = await call(host, bin, 'bridge', conf, { command: 'ADD', netns })
    t.equal(status.code, add.code)
    if (add.code === 0) return
    const msg = /"vlan" and "vlanTrunk": this kernel's bridges know no VLANs$/
    t.match(
      [add.json, status.json],
      [
        { code: 2, msg },
        { code: 50, msg },
      ],
    )
  })
}
