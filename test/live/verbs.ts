/**
 * Every plugin in every version of the specification, verb by verb: one that a version has not got is refused with code
 * 1, the others work, and an ADD's result is in the version's own form.
 */
import t, { type Test } from 'tap'
import { anyFlavour, binDir, type CallOptions, call, type Json } from '../fixtures/cni'
import { PrivateHost } from '../fixtures/private-host'

const versions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
type Version = (typeof versions)[number]

/** The first version that has a verb, and that a plugin speaks; left out: all. */
const verbSince: Readonly<Record<string, Version>> = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' }
const pluginSince: Readonly<Record<string, Version>> = { bandwidth: '0.3.0' }

const isSince = (version: Version, first: Version = '0.1.0'): boolean =>
  versions.indexOf(version) >= versions.indexOf(first)

/** What came before a chained plugin, in the words of a version: the veth "v1" of the container c1. */
const prevResultOf = (version: Version): Json => {
  if (!isSince(version, '0.3.0')) return { cniVersion: version, ip4: { ip: '10.9.0.2/24' }, dns: {} }
  const ip = { interface: 1, address: '10.9.0.2/24', ...(!isSince(version, '1.0.0') && { version: '4' }) }
  return {
    cniVersion: version,
    interfaces: [{ name: 'v1' }, { name: 'eth0', sandbox: '/run/netns/c1' }],
    ips: [ip],
    dns: {},
  }
}

const ipam = { type: 'host-local', ranges: [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]] }
const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }]
const bandwidth = { ingressRate: 8_000_000, ingressBurst: 80_000, egressRate: 8_000_000, egressBurst: 80_000 }

type Case = {
  readonly conf: (version: Version) => Json
  readonly ifName?: string
  /** The addresses of an ADD's result. */
  readonly addresses: readonly string[]
}

const plugins: Readonly<Record<string, Case>> = {
  loopback: { conf: () => ({}), ifName: 'lo', addresses: ['127.0.0.1/8', '::1/128'] },
  'host-local': { conf: () => ({ ipam }), addresses: ['10.1.2.2/24', 'fd00:2::2/64'] },
  bridge: {
    conf: () => ({ bridge: 'br0', isGateway: true, ipMasq: true, ipMasqBackend: 'nftables', ipam }),
    ifName: 'net1',
    addresses: ['10.1.2.2/24', 'fd00:2::2/64'],
  },
  portmap: {
    conf: version => ({
      backend: 'nftables',
      runtimeConfig: { portMappings },
      prevResult: prevResultOf(version),
    }),
    addresses: ['10.9.0.2/24'],
  },
  bandwidth: {
    conf: version => ({ runtimeConfig: { bandwidth }, prevResult: prevResultOf(version) }),
    addresses: ['10.9.0.2/24'],
  },
  kubenet: {
    conf: () => ({
      podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
      runtimeConfig: { portMappings, bandwidth },
    }),
    ifName: 'net1',
    addresses: ['10.244.1.2/24', 'fd00:244:1::2/64'],
  },
}

/** The addresses of a result, which must say them and nothing else as its version does. */
const addressesIn = (t: Test, version: Version, result: Json, title: string): string[] => {
  t.equal(result.cniVersion, version, title)
  t.type(result.dns, 'object', title)
  const keys = isSince(version, '0.3.0') ? ['interfaces', 'ips', 'routes'] : ['ip4', 'ip6']
  const strange = Object.keys(result).filter(key => !['cniVersion', 'dns', ...keys].includes(key))
  t.same(strange, [], `${title}: only what the version has`)
  if (!isSince(version, '0.3.0')) return [result.ip4?.ip, result.ip6?.ip].filter(Boolean)
  for (const { version: family, address } of result.ips) {
    const named = isSince(version, '1.0.0') ? undefined : address.includes(':') ? '6' : '4'
    t.equal(family, named, `${title}: the version of ${address}`)
  }
  if (!isSince(version, '1.1.0'))
    t.notOk(
      result.interfaces?.some((one: Json) => 'mtu' in one),
      `${title}: no MTUs yet`,
    )
  return result.ips.map(({ address }: Json) => address)
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] every plugin, version and verb`, async t => {
    const host = await PrivateHost.create(t)
    const bin = binDir(flavour)
    await host.sh(`
      ip netns add c1; ip link add v1 type veth peer name eth0 netns c1; ip link set v1 up
      ip -n c1 link set eth0 up; ip addr add 10.9.0.1/24 dev v1
    `)
    for (const [name, { conf: confOf, ifName = 'eth0', addresses }] of Object.entries(plugins)) {
      for (const version of versions) {
        const title = `${name} ${version}`
        const conf = { cniVersion: version, name: 'net', type: name, ...confOf(version) }
        const options: CallOptions = { netns: '/run/netns/c1', ifName }
        const run = (command: string, more: Json = {}) =>
          call(host, bin, name, { ...conf, ...more }, { ...options, command })
        const isSpoken = isSince(version, pluginSince[name])
        const answers = async (command: string, more: Json = {}): Promise<void> => {
          const { code, stdout, json } = await run(command, more)
          if (isSpoken && isSince(version, verbSince[command]))
            t.same([code, stdout], [0, ''], `${title} ${command}`)
          else
            t.match(
              [code, json],
              [1, { cniVersion: /^\d/, code: 1 }],
              `${title} ${command}: not in this version`,
            )
        }
        const { json: spoken } = await run('VERSION')
        t.equal(spoken.supportedVersions.includes(version), isSpoken, `${title} VERSION`)
        await answers('STATUS')
        const added = await run('ADD')
        if (isSpoken) t.same(addressesIn(t, version, added.json, `${title} ADD`), addresses, `${title} ADD`)
        else t.match(added.json, { code: 1, msg: 'incompatible CNI versions' }, `${title} ADD`)
        const prevResult = isSpoken ? added.json : undefined
        await answers('CHECK', { prevResult })
        await answers('GC', { 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: ifName }] })
        if (isSince(version, '1.1.0')) await answers('CHECK', { prevResult })
        for (const _ of ['first', 'second']) await answers('DEL')
        // So that each version gets the first addresses.
        await host.sh('rm -rf /var/lib/cni/networks')
      }
    }
    t.same(
      (await host.json<Json[]>('ip', 'link', 'show')).map(({ ifname }) => ifname).sort(),
      ['br0', 'cbr0', 'lo', 'v1'],
      'what the DELs leave: bridges',
    )
  })
}
