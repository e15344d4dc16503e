import { join } from 'node:path'
import t from 'tap'

const bench = join(__dirname, '../../bench')

/** The benchmark is plain ES modules, which have no types to import them by. */
const load = (path: string) => import(`${bench}/${path}`)

type BenchCall = { program: string; conf: { name: string; type: string }; env: Record<string, string> }

t.test('a pod is connected forwards and disconnected backwards', async t => {
  const { callsOf } = await load('host/setups.mjs')
  const about = { setup: 'pod', pod: 7, bins: '/opt/cni/bin' }
  const programs = (command: string) => callsOf({ ...about, command }).map((call: BenchCall) => call.program)
  t.same(programs('ADD'), ['loopback', 'bridge', 'portmap', 'bandwidth'])
  t.same(programs('DEL'), ['bandwidth', 'portmap', 'bridge', 'loopback'])
})

t.test('kubenet is one call, with all that the list of plugins is asked for', async t => {
  const { callsOf } = await load('host/setups.mjs')
  const about = { command: 'ADD', pod: 7, bins: '/opt/cni/bin' }
  const [kubenet, ...others] = callsOf({ ...about, setup: 'kubenet' })
  t.same(others, [])
  const [, bridge, portmap, bandwidth] = callsOf({ ...about, setup: 'pod' })
  t.equal(kubenet.conf.podCIDR, bridge.conf.ipam.ranges[0][0].subnet)
  t.same(kubenet.conf.runtimeConfig, { ...portmap.conf.runtimeConfig, ...bandwidth.conf.runtimeConfig })
})

t.test('a host port and a container belong to one pod', async t => {
  const { callsOf, containerOf } = await load('host/setups.mjs')
  const portOf = (pod: number) =>
    callsOf({ setup: 'kubenet', command: 'ADD', pod, bins: '' })[0].conf.runtimeConfig.portMappings[0]
      .hostPort
  t.not(portOf(1), portOf(2))
  t.not(containerOf(1), containerOf(2))
  t.match(containerOf(12), /^[0-9a-f]{64}$/)
})

t.test('programsOf() names the IPAM plugin too', async t => {
  const { programsOf } = await load('host/setups.mjs')
  t.same(programsOf('chain'), ['bridge', 'portmap', 'bandwidth', 'host-local'])
  t.same(programsOf('kubenet'), ['kubenet'])
  t.same(programsOf('netavark'), ['netavark'])
})

t.test('netavark is asked for the same pod at its end as at its beginning', async t => {
  const { callsOf } = await load('host/setups.mjs')
  const about = { setup: 'netavark', pod: 5_001, bins: '/usr/lib/podman' }
  const [[add], [del]] = ['ADD', 'DEL'].map(command => callsOf({ ...about, command }))
  t.same(add.args, ['--config', '/run/netavark', 'setup', '/run/netns/p5001'])
  t.same(del.args, ['--config', '/run/netavark', 'teardown', '/run/netns/p5001'])
  t.same(add.conf, del.conf)
  t.match(add.conf, {
    port_mappings: [{ host_port: 25_001, container_port: 80 }],
    networks: { pods: { static_ips: ['10.88.19.137'] } },
  })
})

t.test('readOptions() refuses what it does not know, and only whole runs replace results', async t => {
  const { readOptions } = await load('options.mjs')
  t.throws(() => readOptions(['--runs', 'many']), /--runs "many"/)
  t.throws(() => readOptions(['--store', 'tape']), /neither disk nor tmpfs/)
  t.throws(() => readOptions(['--fast']), /--fast/)
  t.match(readOptions([]), { runs: 30, pods: 500, whole: true })
  t.match(readOptions(['--quick']), { whole: false })
  t.match(readOptions(['--case', 'chain']), { whole: false })
})
