/**
 * Several DELs of one attachment at once, as a runtime sends them that was told to stop a container twice: each of them
 * succeeds, and nothing is left. Each finds some of what it looks for gone between two of its steps.
 */
import t from 'tap'
import { bridgeConf } from '../fixtures/bridge'
import { type Answer, anyFlavour, binDir, call, type Json } from '../fixtures/cni'
import { stateFunctions } from '../fixtures/host-state'
import { kubenetConf } from '../fixtures/kubenet'
import { PrivateHost } from '../fixtures/private-host'

const rounds = process.env.KUBENET_SOAK === '1' ? 100 : 3
const atOnce = 4

const runtimeConfig = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
    { hostPort: 5353, containerPort: 53, protocol: 'udp' },
  ],
  bandwidth: { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 1e6, egressBurst: 1e6 },
}

type Scenario = { title: string; plugin: string; conf: Json; first?: Json }

const plain = bridgeConf('dual', { isGateway: true })
const named = { cniVersion: '1.0.0', name: 'net', runtimeConfig }

const scenarios: Scenario[] = [
  { title: 'bridge', plugin: 'bridge', conf: plain },
  {
    title: 'bridge with iptables and macspoofchk',
    plugin: 'bridge',
    conf: { ...plain, ipMasq: true, ipMasqBackend: 'iptables', macspoofchk: true },
  },
  {
    title: 'bridge with nftables, dropInvalid and prune',
    plugin: 'bridge',
    conf: { ...plain, ipMasq: true, ipMasqBackend: 'nftables', dropInvalid: true, prune: true },
  },
  { title: 'kubenet', plugin: 'kubenet', conf: kubenetConf({ runtimeConfig }) },
  {
    title: 'kubenet with iptables',
    plugin: 'kubenet',
    conf: kubenetConf({ runtimeConfig, backend: 'iptables' }),
  },
  { title: 'portmap', plugin: 'portmap', conf: { ...named, backend: 'iptables' }, first: plain },
  {
    title: 'portmap with nftables',
    plugin: 'portmap',
    conf: { ...named, backend: 'nftables' },
    first: plain,
  },
  { title: 'bandwidth', plugin: 'bandwidth', conf: named, first: plain },
  { title: 'host-local', plugin: 'host-local', conf: plain },
  { title: 'loopback', plugin: 'loopback', conf: named },
]

const said = ({ stdout, stderr }: Answer): string => stdout + stderr

for (const flavour of anyFlavour) {
  for (const { title, plugin, conf, first } of scenarios) {
    t.test(`[${flavour}] ${title}`, async t => {
      const host = await PrivateHost.create(t)
      const folder = binDir(flavour)
      const netns = await host.netns('c1')
      const options = { containerID: 'c1', netns }
      const state = () => host.run('bash', '-c', `${stateFunctions}\nstate host`)
      let before: string | undefined
      for (let round = 0; round <= rounds; round++) {
        const base = first && (await call(host, folder, 'bridge', first, options))
        const added = await call(host, folder, plugin, { ...conf, prevResult: base?.json }, options)
        t.equal(added.code, 0, `ADD: ${said(added)}`)
        const del = () => call(host, folder, plugin, conf, { ...options, command: 'DEL' })
        const chained = () => call(host, folder, 'bridge', plain, { ...options, command: 'DEL' })
        // In a chain another DEL has come to the plugin that made the interface by then.
        const calls = Array.from({ length: atOnce }, (_, i) => (first && i % 2 === 1 ? chained() : del()))
        const answers = await Promise.all(calls)
        for (const answer of answers) t.same([answer.code, said(answer)], [0, ''], `round ${round}`)
        if (first) await del()
        // The first round makes what stays for the next containers: tables, folders, gateways.
        before ??= await state()
        t.equal(await state(), before, `round ${round}: nothing is left`)
      }
    })
  }
}
