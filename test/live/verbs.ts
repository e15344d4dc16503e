/**
 * Every plugin in every version of the specification, verb by verb: one that a version has not got is refused with code
 * 1, the others work, and an ADD's result is in the version's own form.
 */
import t, { type Test } from 'tap'
import { anyFlavour, binDir, type Json } from '../fixtures/cni'
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

const ranges = [[{ subnet: '10.1.2.0/24' }], [{ subnet: 'fd00:2::/64' }]]

/** A folder for each plugin and version, so that each gets the first addresses. */
const dataDirOf = (name: string, version: Version) => ({ dataDir: `/var/lib/cni/${name}/${version}` })

const ipamOf = (name: string, version: Version) => ({
  ...{ type: 'host-local', ranges },
  ...dataDirOf(name, version),
})
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
  'host-local': {
    conf: version => ({ ipam: ipamOf('host-local', version) }),
    addresses: ['10.1.2.2/24', 'fd00:2::2/64'],
  },
  bridge: {
    conf: version => ({
      ...{ bridge: 'br0', isGateway: true, ipMasq: true, ipMasqBackend: 'nftables' },
      ipam: ipamOf('bridge', version),
    }),
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
    conf: version => ({
      ...dataDirOf('kubenet', version),
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

/** The calls of one plugin in one version, in this order; CHECK and DEL get the result of the ADD. */
const verbs = ['VERSION', 'STATUS', 'ADD', 'CHECK', 'GC', 'DEL'] as const

type Answer = { readonly code: string; readonly stdout: string; readonly json: Json }

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** Makes all calls by one shell, since entering the host costs as much as a call. */
const callAll = async (host: PrivateHost, bin: string): Promise<Map<string, Answer[]>> => {
  const calls = Object.entries(plugins).flatMap(([name, { conf, ifName = 'eth0' }]) =>
    versions.map(version => {
      const valid = { 'cni.dev/valid-attachments': [{ containerID: 'c1', ifname: ifName }] }
      const text = JSON.stringify({
        cniVersion: version,
        name: 'net',
        type: name,
        ...valid,
        ...conf(version),
      })
      return `of ${name} ${version} ${ifName} ${quoted(text)}`
    }),
  )
  const script = `
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin CNI_PATH=${bin} CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1
    of() {
      export CNI_IFNAME=$3
      echo "== $1 $2"
      conf=$4
      for verb in ${verbs.join(' ')}; do
        CNI_COMMAND=$verb ${bin}/$1 <<< "$conf" > /run/answer; code=$?
        answer=; read -rd '' answer < /run/answer
        echo "$code $answer"
        # The last key of a name is the one that counts.
        if [ $verb$code = ADD0 ]; then conf=\${conf%?}',"prevResult":'$answer}; fi
      done
    }
    ${calls.join('\n')}
  `
  const { stdout } = await host.exec(['bash', '--norc'], { stdin: script, timeoutMs: 300_000 })
  const parts = stdout.split(/^== /m).slice(1)
  return new Map(
    parts.map(part => {
      const [title = '', ...lines] = part.trimEnd().split('\n')
      const answers = lines.map(line => {
        const text = line.slice(2)
        return { code: line.slice(0, 1), stdout: text, json: text ? JSON.parse(text) : {} }
      })
      return [title, answers]
    }),
  )
}

for (const flavour of anyFlavour) {
  t.test(`[${flavour}] every plugin, version and verb`, async t => {
    const host = await PrivateHost.create(t)
    await host.sh(`
      ip netns add c1; ip link add v1 type veth peer name eth0 netns c1; ip link set v1 up
      ip -n c1 link set eth0 up; ip addr add 10.9.0.1/24 dev v1
    `)
    const called = await callAll(host, binDir(flavour))
    for (const [name, { addresses }] of Object.entries(plugins)) {
      for (const version of versions) {
        const isSpoken = isSince(version, pluginSince[name])
        const answers = called.get(`${name} ${version}`) ?? []
        t.equal(answers.length, verbs.length, `${name} ${version}`)
        for (const [i, { code, stdout, json }] of answers.entries()) {
          const verb = verbs[i] ?? ''
          const title = `${name} ${version} ${verb}`
          if (verb === 'VERSION') t.equal(json.supportedVersions.includes(version), isSpoken, title)
          else if (!isSince(version, verbSince[verb]))
            t.match([code, json], ['1', { code: 1, msg: `config version does not allow ${verb}` }], title)
          else if (!isSpoken)
            t.match([code, json], ['1', { code: 1, msg: 'incompatible CNI versions' }], title)
          else if (verb === 'ADD') t.same(addressesIn(t, version, json, title), addresses, title)
          else t.same([code, stdout], ['0', ''], title)
        }
      }
    }
    t.same(
      (await host.json<Json[]>('ip', 'link', 'show')).map(({ ifname }) => ifname).sort(),
      ['br0', 'cbr0', 'lo', 'v1'],
      'what the DELs leave: bridges',
    )
  })
}
