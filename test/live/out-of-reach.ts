/**
 * DEL where CNI_NETNS is there, but cannot be opened or entered. What is outside of the namespace goes all the same; a
 * failure comes last, and only where something may be left inside.
 */
import t from 'tap'
import { bridgeConf } from '../fixtures/bridge'
import { anyFlavour, binDir, call, type Flavour, flavours, type Json } from '../fixtures/cni'
import { stateFunctions } from '../fixtures/host-state'
import { kubenetConf } from '../fixtures/kubenet'
import { PrivateHost } from '../fixtures/private-host'

const isLong = process.env.KUBENET_SOAK === '1'

/** What the opening of the path fails with, by strace(1), or, for a loop of links, by itself. */
const openErrors = [
  ...['EACCES', 'EPERM', 'EMFILE'],
  ...(isLong ? ['ENFILE', 'ENOMEM', 'EIO', 'ENAMETOOLONG', 'EINTR', 'ENXIO'] : []),
]
/** What the way in fails with. */
const enterErrors = ['EPERM', ...(isLong ? ['ENOMEM'] : [])]
/** Errors by which there is no namespace any more, made by the path itself. */
const gonePaths = ['/run/netns/none', '/run/file/netns', ...(isLong ? ['/proc/4194304/ns/net', ''] : [])]

/** May it be otherwise the next time? Then the code is 11. */
const isTransient = (error: string): boolean => ['EMFILE', 'ENFILE', 'ENOMEM', 'EINTR'].includes(error)

const runtimeConfig = {
  portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'udp' }],
  bandwidth: { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 1e6, egressBurst: 1e6 },
}

/** A plugin, its configuration by the result of bridge, and whether bridge must be called before. */
type Scenario = { plugin: string; chained: boolean; conf: (prevResult: Json) => Json }

const ofBridge = bridgeConf('dual', { ...{ ipMasq: true, macspoofchk: true, isGateway: true } })
const named = { cniVersion: '1.0.0', name: 'net', runtimeConfig }

const scenarios: Scenario[] = [
  { plugin: 'bridge', chained: false, conf: () => ofBridge },
  {
    plugin: 'bridge',
    chained: false,
    conf: () => ({ ...ofBridge, ipMasqBackend: 'nftables', dropInvalid: true }),
  },
  { plugin: 'kubenet', chained: false, conf: () => kubenetConf({ runtimeConfig }) },
  { plugin: 'kubenet', chained: false, conf: () => kubenetConf({ runtimeConfig, backend: 'iptables' }) },
  { plugin: 'portmap', chained: true, conf: prevResult => ({ ...named, prevResult }) },
  { plugin: 'portmap', chained: true, conf: prevResult => ({ ...named, backend: 'nftables', prevResult }) },
  { plugin: 'bandwidth', chained: true, conf: prevResult => ({ ...named, prevResult }) },
  { plugin: 'host-local', chained: false, conf: () => ({ ...ofBridge, name: 'leases' }) },
  { plugin: 'loopback', chained: false, conf: () => named },
]

const stateOf = async (host: PrivateHost): Promise<string> =>
  host.run('bash', '-c', `${stateFunctions}\nstate host`)

/** A host with the namespaces c1 and keeper, and bridge between them and the world. */
const prepare = async (t: { after(work: () => void): void }, flavour: Flavour) => {
  const host = await PrivateHost.create(t as never)
  await host.sh('touch /run/file; ln -s loop /run/netns/loop')
  await host.netns('c1')
  const keeper = { containerID: 'keeper', netns: await host.netns('keeper') }
  for (const conf of [ofBridge, { ...ofBridge, ipMasqBackend: 'nftables', dropInvalid: true, name: 'nft' }])
    await call(host, binDir(flavour), 'bridge', conf, { ...keeper, ifName: conf.name })
  for (const conf of [
    kubenetConf(),
    kubenetConf({ name: 'ipt', backend: 'iptables', podCIDRs: ['10.245.1.0/24'] }),
  ])
    await call(host, binDir(flavour), 'kubenet', conf, { ...keeper, ifName: conf.name })
  return host
}

/** Calls DEL under strace, which has the system calls on a path fail. */
const delInjected = async (
  host: PrivateHost,
  program: string,
  conf: Json,
  { netns, inject }: { netns: string; inject: readonly string[] },
) => {
  const strace = inject.length > 0 ? ['strace', '-qq', '-o', '/run/trace', ...inject] : []
  const { code, stdout } = await host.exec([...strace, program], {
    stdin: JSON.stringify(conf),
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: 'DEL',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: program.slice(0, program.lastIndexOf('/')),
    },
  })
  return { code, stdout }
}

const netns = '/run/netns/c1'

const obstacles = [
  ...openErrors.map(error => ({
    what: `open: ${error}`,
    netns,
    inject: ['-P', netns, '-e', `inject=openat:error=${error}`],
  })),
  ...enterErrors.map(error => ({
    what: `setns: ${error}`,
    netns,
    inject: ['-e', `inject=setns:error=${error}`],
  })),
  { what: 'open: ELOOP', netns: '/run/netns/loop', inject: [] },
  ...gonePaths.map(path => ({ what: `"${path}"`, netns: path, inject: [] })),
]

for (const flavour of anyFlavour) {
  for (const { plugin, chained, conf } of scenarios) {
    t.test(`[${flavour}] ${plugin} ${JSON.stringify(conf({}))}`, async t => {
      const host = await prepare(t, flavour)
      const folder = binDir(flavour)
      const c1 = { containerID: 'c1', netns }
      for (const [round, obstacle] of [{ what: 'nothing', netns, inject: [] }, ...obstacles].entries()) {
        const base = chained ? await call(host, folder, 'bridge', ofBridge, c1) : undefined
        const before = await stateOf(host)
        const added = await call(host, folder, plugin, conf(base?.json), c1)
        t.equal(added.code, 0, `ADD: ${added.stdout}`)
        const own = plugin === 'loopback' || plugin === 'host-local' ? undefined : added.json
        const deleted = await delInjected(
          host,
          `${folder}/${plugin}`,
          // Without the result: what is there must tell whose it is.
          { ...conf(base?.json), ...(chained && { prevResult: undefined }) },
          obstacle,
        )
        t.same([deleted.code, deleted.stdout], [0, ''], obstacle.what)
        // The first round makes what stays for the next containers: tables, folders, gateways.
        if (round > 0) t.equal(await stateOf(host), before, `${obstacle.what}: nothing is left`)
        // Again, with the result.
        const last = own && { prevResult: { ...own, cniVersion: conf({}).cniVersion } }
        const again = await delInjected(
          host,
          `${folder}/${plugin}`,
          { ...conf(base?.json), ...last },
          obstacle,
        )
        t.same([again.code, again.stdout], [0, ''], `${obstacle.what}: again`)
        if (chained) await call(host, folder, 'bridge', ofBridge, { ...c1, command: 'DEL' })
        if (plugin === 'loopback') await host.run('ip', '-n', 'c1', 'link', 'set', 'lo', 'down')
      }
    })
  }
}

for (const flavour of flavours) {
  t.test(`[${flavour}] bridge fails where the pair may be left, after all else is gone`, async t => {
    const host = await prepare(t, flavour)
    const folder = binDir(flavour)
    for (const { what, netns: path, inject } of obstacles.slice(0, -gonePaths.length)) {
      const before = await stateOf(host)
      const { json } = await call(host, folder, 'bridge', ofBridge, { containerID: 'c1', netns })
      const veth = json.interfaces[1].name
      // As the reference makes it: nothing on the host tells whose it is.
      await host.run('ip', 'link', 'set', veth, 'alias', '')
      const conf = { ...ofBridge, prevResult: json }
      const { code, stdout } = await delInjected(host, `${folder}/bridge`, conf, { netns: path, inject })
      t.equal(code, 1, what)
      const error = JSON.parse(stdout)
      const errno = what.replace(/.*: /, '')
      t.equal(error.code, isTransient(errno) ? 11 : what.startsWith('open') ? 8 : 999, what)
      t.match(error.details ?? '', /all that is outside of it was removed, "eth0" may be left in it/, what)
      t.match(error.msg + error.details, errno, what)
      const left = (await stateOf(host)).split('\n').filter(line => !before.includes(line))
      t.ok(left.length > 0 && left.every(line => line.includes(veth) || /link\/ether/.test(line)), what)
      await host.run('ip', 'link', 'del', veth)
      const again = await delInjected(host, `${folder}/bridge`, conf, { netns: path, inject })
      t.same([again.code, again.stdout], [0, ''], `${what}: the pair is gone`)
      t.equal(await stateOf(host), before, what)
    }
  })

  t.test(`[${flavour}] the host's own namespace is refused, but what is outside of it goes`, async t => {
    const host = await prepare(t, flavour)
    const before = await stateOf(host)
    await call(host, binDir(flavour), 'bridge', ofBridge, { containerID: 'c1', netns })
    const own = { containerID: 'c1', netns: '/proc/self/ns/net', command: 'DEL' }
    const { json } = await call(host, binDir(flavour), 'bridge', ofBridge, own)
    t.match(json, { code: 8, msg: "plugin's netns and netns from CNI_NETNS should not be the same" })
    t.equal(await stateOf(host), before)
  })
}
