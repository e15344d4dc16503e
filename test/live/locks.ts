/**
 * The holder of a lock may hang: stopped, or waiting for a dead disk. A call waits for a lock until a deadline, then
 * the call answers "try again later" (code 11), names the holder, and has changed nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { type Answer, binDir, call, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const bin = binDir('standalone')
const legacy = '/run/legacy:/usr/sbin:/usr/bin:/sbin:/bin'

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }]] }
const portMappings = (hostPort: number) => [{ hostPort, containerPort: 80, protocol: 'tcp' }]
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'eth0', sandbox: '/run/netns/c1' }],
  ips: [{ interface: 0, address: '10.1.2.9/24' }],
  dns: {},
}
const conf = (type: string, name: string, more: Json): Json => ({ cniVersion: '1.1.0', name, type, ...more })

const locks = {
  leases: '/var/lib/cni/networks/net/lock',
  podLeases: '/var/lib/cni/networks/pods/lock',
  hostPorts: '/run/kubenet-cni/hostports/lock',
  xtables: '/run/xtables.lock',
} as const

type Wait = {
  readonly lock: keyof typeof locks
  readonly plugin: string
  readonly conf: Json
  readonly path?: string
}

const masquerading = { bridge: 'br1', ipam, ipMasq: true, ipMasqBackend: 'iptables' }

/** Every lock, and every plugin that takes it. */
const waits: Readonly<Record<string, Wait>> = {
  'host-local for its leases': {
    lock: 'leases',
    plugin: 'host-local',
    conf: conf('bridge', 'net', { ipam }),
  },
  'bridge for the leases': {
    lock: 'leases',
    plugin: 'bridge',
    conf: conf('bridge', 'net', { bridge: 'br0', ipam }),
  },
  'kubenet for its leases': {
    lock: 'podLeases',
    plugin: 'kubenet',
    conf: conf('kubenet', 'pods', { bridge: 'br2', podCIDR: '10.1.3.0/24' }),
  },
  'portmap for the host ports': {
    lock: 'hostPorts',
    plugin: 'portmap',
    conf: conf('portmap', 'net', {
      ...{ backend: 'nftables', prevResult },
      runtimeConfig: { portMappings: portMappings(8080) },
    }),
  },
  'kubenet for the host ports': {
    lock: 'hostPorts',
    plugin: 'kubenet',
    conf: conf('kubenet', 'ports', {
      ...{ bridge: 'br3', podCIDR: '10.1.4.0/24', backend: 'nftables' },
      runtimeConfig: { portMappings: portMappings(8081) },
    }),
  },
  'bridge for iptables': {
    lock: 'xtables',
    plugin: 'bridge',
    conf: conf('bridge', 'masq', masquerading),
    path: legacy,
  },
}

const hold = async (t: Test, host: PrivateHost, file: string): Promise<ChildProcess> => {
  const [program = '', ...args] = [...host.enter, 'flock', file, 'sh', '-c', 'echo; exec cat']
  const holder = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  holder.kill('SIGSTOP')
  t.teardown(() => release(holder))
  return holder
}

/** Ends a holder; its child, which has the lock too, ends with its input. */
const release = async (holder: ChildProcess): Promise<void> => {
  if (holder.exitCode !== null || holder.signalCode !== null) return
  holder.stdin?.end()
  holder.kill('SIGKILL')
  await once(holder, 'close')
}

const setup = `
  mkdir -p /run/legacy ${Object.values(locks)
    .map(file => file.slice(0, file.lastIndexOf('/')))
    .join(' ')}
  for i in iptables ip6tables; do for verb in '' -restore -save; do
    ln -s $(command -v $i-legacy$verb) /run/legacy/$i$verb
  done; done
  touch ${Object.values(locks).join(' ')}
`

// They mostly wait.
t.jobs = 2

/** Longer than the deadline of 5 s by what a busy machine may take to start the calls and to end them. */
const longestSeconds = 60

t.test('a stopped process holds a lock', { buffered: true }, async t => {
  const host = await PrivateHost.create(t)
  await host.sh(setup)
  const names = Object.keys(waits)
  for (const [i] of names.entries()) await host.netns(`n${i}`)
  const callEach = (command: string): Promise<Answer[]> =>
    Promise.all(
      Object.values(waits).map(({ plugin, conf, path }, i) =>
        call(host, bin, plugin, conf, {
          command,
          containerID: `c${i}`,
          netns: `/run/netns/n${i}`,
          ...(path && { env: { PATH: path } }),
        }),
      ),
    )
  const works = async (command: string, when: string) => {
    for (const [i, { code, stdout }] of (await callEach(command)).entries())
      t.equal(code, 0, `${command} ${when}: ${names[i]}: ${stdout}`)
  }
  const refused = async (command: string) => {
    const holders = new Map<string, ChildProcess>()
    for (const [name, file] of Object.entries(locks)) holders.set(name, await hold(t, host, file))
    const started = Date.now()
    const answers = await callEach(command)
    const seconds = (Date.now() - started) / 1000
    t.ok(seconds >= 5 && seconds < longestSeconds, `all have answered ${command} after ${seconds} s`)
    for (const [i, [title, { lock }]] of Object.entries(waits).entries()) {
      const file = locks[lock]
      const words =
        lock === 'xtables' ? 'the xtables lock was held for 5 s' : `waiting for the lock "${file}"`
      const holder = `held by pid ${holders.get(lock)?.pid} (flock ${file} sh -c echo; exec cat; T (stopped)`
      const { code, msg = '', details = '' } = answers[i]?.json ?? {}
      t.equal(code, 11, `${command}: ${title}`)
      t.ok(msg.includes(words), `${command}: ${title}: ${msg}`)
      t.ok(details.includes(holder), `${command}: ${title}: ${details}`)
    }
    for (const holder of holders.values()) await release(holder)
  }
  // Bridges and the chains that all share stay for good.
  await works('ADD', 'before')
  await works('DEL', 'before')
  const before = await host.snapshot()
  await refused('ADD')
  t.equal(await host.snapshot(), before, 'nothing has changed')
  await works('ADD', 'after it was refused')
  await refused('DEL')
  await works('DEL', 'after it was refused')
  t.equal(await host.snapshot(), before, 'nothing is left')
})

// By itself: where the host ports are held too, those are what it waits for.
t.test(
  'a stopped process holds the xtables lock, and portmap opens ports by iptables',
  { buffered: true },
  async t => {
    const host = await PrivateHost.create(t)
    await host.sh(setup)
    const netns = await host.netns('c1')
    const portmap = (command: string): Promise<Answer> => {
      const runtimeConfig = { portMappings: portMappings(8080) }
      const network = conf('portmap', 'net', { backend: 'iptables', prevResult, runtimeConfig })
      return call(host, bin, 'portmap', network, { command, netns, env: { PATH: legacy } })
    }
    const state = async (): Promise<string> =>
      `${await host.snapshot()}${await host.sh('find /run/kubenet-cni/hostports/claims -type f; ls /run/kubenet-cni/hostports/owners')}`
    const works = async (command: string) => {
      const { code, stdout } = await portmap(command)
      t.equal(code, 0, `${command}: ${stdout}`)
    }
    const refused = async (command: string) => {
      const was = await state()
      const holder = await hold(t, host, locks.xtables)
      const started = Date.now()
      const { json } = await portmap(command)
      const seconds = (Date.now() - started) / 1000
      t.ok(seconds >= 5 && seconds < longestSeconds, `${command} is answered after ${seconds} s`)
      t.match(json, { code: 11, msg: /the xtables lock was held for 5 s/ }, command)
      t.ok(json?.details?.includes(`held by pid ${holder.pid} (flock`), `${command}: ${json?.details}`)
      await release(holder)
      if (command === 'ADD') t.equal(await state(), was, 'nothing has changed')
    }
    await works('ADD')
    await works('DEL')
    const before = await state()
    await refused('ADD')
    await works('ADD')
    t.match(await host.snapshot(), /--dport 8080/)
    await refused('DEL')
    await works('DEL')
    t.equal(await state(), before, 'nothing is left')
  },
)
