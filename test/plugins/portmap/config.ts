import { mkdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { readConf } from '../../../plugins/portmap/config'
import { plugin } from '../../../plugins/portmap/main'
import { parseAddr } from '../../../src/ip/addr'
import { parseCidr } from '../../../src/ip/cidr'
import { mappingsOf } from '../../../src/netfilter/rules/hostports/hostports'
import { callWith, mapping, read, resultWith } from './fixtures/call'

const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
const webMapping = { ...web, hostIP: undefined, onlyFamily: undefined }

const refusal = (message: string, details = '') => ({ code: 7, message, details })

t.test('everything has the reference’s default', async t => {
  t.same(read({}), {
    network: 'net',
    containerID: 'c1',
    ifName: 'eth0',
    markBit: 13,
    backend: 'iptables',
    snat: true,
    masqAll: false,
    externalSetMarkChain: undefined,
    conditions: { 4: [], 6: [] },
    hostListeners: 'warn',
    mappings: [],
    prevResult: undefined,
    addresses: [],
  })
})

t.test('keys are found in any case, as containerd writes them', async t => {
  const portMappings = [{ HostPort: 8080, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }]
  t.same(read({ runtimeConfig: { portMappings } }).mappings, [webMapping])
  t.same(read({ RuntimeConfig: { PortMappings: portMappings } }).mappings, [webMapping])
  t.equal(read({ SNAT: false }).snat, false)
  t.equal(read({ masqall: true }).masqAll, true)
})

t.test('null and empty values are absent', async t => {
  for (const keys of [
    { runtimeConfig: null },
    { runtimeConfig: { portMappings: null } },
    { runtimeConfig: { portMappings: [] } },
    { snat: null, masqAll: null, markMasqBit: null, conditionsV4: null, externalSetMarkChain: '' },
  ]) {
    t.same(read(keys), read({}), JSON.stringify(keys))
  }
})

t.test('protocols are known in upper and lower case, tcp is the default', async t => {
  const protocolOf = (protocol: unknown) => read(mapping({ ...web, protocol })).mappings[0]?.protocol
  t.equal(protocolOf('TCP'), 'tcp')
  t.equal(protocolOf('Udp'), 'udp')
  t.equal(protocolOf('SCTP'), 'sctp')
  t.equal(protocolOf(''), 'tcp')
  t.equal(protocolOf(undefined), 'tcp')
  t.throws(() => protocolOf('icmp'), refusal('unknown protocol "icmp" in portMappings[0], host port 8080'))
  t.throws(() => protocolOf('tcp,udp'), { code: 7 })
})

t.test('a hostIP opens the port on that address, an unspecified one on all of its family', async t => {
  const of = (hostIP: string | undefined) => {
    const conf = read(mapping({ ...web, hostIP }))
    const [found] = conf.mappings
    return [found?.hostIP, mappingsOf(conf, 4).length, mappingsOf(conf, 6).length]
  }
  t.same(of(undefined), [undefined, 1, 1])
  t.same(of(''), [undefined, 1, 1])
  t.same(of('0.0.0.0'), [undefined, 1, 0])
  t.same(of('::'), [undefined, 0, 1])
  t.same(of('192.0.2.1'), [parseAddr('192.0.2.1'), 1, 0])
  t.same(of('2001:db8::1'), [parseAddr('2001:db8::1'), 0, 1])
  t.same(of('::ffff:192.0.2.1'), [parseAddr('192.0.2.1'), 1, 0], 'as Go reads it')
  for (const bad of ['localhost', '192.0.2', '192.0.2.1/24', '192.0.2.01', 'fe80::1%eth0'])
    t.throws(() => of(bad), { code: 7, message: /hostIP/ }, bad)
})

t.test('ports go from 1 to 65535; the reference’s texts are exact', async t => {
  const ports = (hostPort: unknown, containerPort: unknown = 80) =>
    read(mapping({ hostPort, containerPort, protocol: 'tcp' }))
  t.equal(ports(1, 65535).mappings.length, 1)
  t.equal(ports(65535, 1).mappings.length, 1)
  t.throws(() => ports(0), refusal('Invalid host port number: 0'))
  t.throws(() => ports(8080, 0), refusal('Invalid container port number: 0'))
  t.throws(() => ports(0, 0), refusal('Invalid container port number: 0'), 'the container’s first, as in Go')
  t.throws(() => ports(-1), refusal('Invalid host port number: -1'))
  t.throws(() => ports(undefined), refusal('Invalid host port number: 0'), 'absent is Go’s 0')
  t.throws(() => ports(null), refusal('Invalid host port number: 0'))
  t.throws(() => ports(65536), refusal('Invalid host port number: 65536', 'in portMappings[0]'))
  t.throws(() => ports(80, 1e9), refusal('Invalid container port number: 1000000000', 'in portMappings[0]'))
  t.throws(() => ports('80'), { code: 7, message: /portMappings\.0\.hostPort": expected number/ })
  t.throws(() => ports(1.5), { code: 7, message: /hostPort": expected a whole number but received 1\.5$/ })
  t.throws(() => ports(Number.NaN), { code: 7 })
  t.throws(() => read(mapping(web, { ...web, hostPort: 0 })), refusal('Invalid host port number: 0'))
})

t.test('all verbs but CHECK say in front that the configuration could not be parsed', async t => {
  const broken = mapping({ ...web, hostPort: 0 })
  const message = 'failed to parse config: Invalid host port number: 0'
  t.throws(() => readConf(callWith(broken)), refusal(message))
  await t.rejects(plugin.del(callWith(broken, { command: 'DEL' })), refusal(message))
  t.throws(() => read(broken, { command: 'CHECK' }), refusal('Invalid host port number: 0'))
})

t.test('runtimeConfig of another shape is refused', async t => {
  for (const runtimeConfig of ['x', [], { portMappings: {} }, { portMappings: 'x' }, { portMappings: [1] }])
    t.throws(() => read({ runtimeConfig }), { code: 7 }, JSON.stringify(runtimeConfig))
})

t.test('the mark bit is 0 to 31, and excludes a foreign chain', async t => {
  for (const markMasqBit of [0, 13, 31]) t.equal(read({ markMasqBit }).markBit, markMasqBit)
  for (const markMasqBit of [-1, 32]) {
    t.throws(() => read({ markMasqBit }), refusal('MasqMarkBit must be between 0 and 31'))
  }
  t.throws(() => read({ markMasqBit: 1.5 }), { code: 7 })
  t.throws(
    () => read({ markMasqBit: 0, externalSetMarkChain: 'KUBE-MARK-MASQ' }),
    refusal('Cannot specify externalSetMarkChain and markMasqBit'),
  )
})

t.test('a foreign chain has a name iptables takes', async t => {
  for (const externalSetMarkChain of ['KUBE-MARK-MASQ', 'a', 'x'.repeat(28), 'my.chain:1_2'])
    t.equal(read({ externalSetMarkChain }).externalSetMarkChain, externalSetMarkChain)
  for (const externalSetMarkChain of ['x'.repeat(29), '-A', 'a b', 'a\nCOMMIT', 'a"', 'ä', '!a', 'a;b'])
    t.throws(() => read({ externalSetMarkChain }), { code: 7 }, JSON.stringify(externalSetMarkChain))
})

t.test('the backend: the one named, the one the options are for, or the default', async t => {
  const iptables = { conditionsV4: ['-s', '1.2.3.4'], conditionsV6: ['!', '-s', '12::34'] }
  const nftables = { conditionsV4: ['ip', 'saddr', '1.2.3.4'], conditionsV6: ['ip6', 'saddr', '12::34'] }
  const of = (keys: object) => read({ backend: undefined, ...keys }).backend
  t.equal(of({ backend: 'nftables' }), 'nftables')
  t.equal(of({ backend: 'nftables', ...nftables }), 'nftables')
  t.equal(of(nftables), 'nftables', 'demanded by the conditions')
  t.equal(of(iptables), 'iptables')
  t.equal(of({ externalSetMarkChain: 'X' }), 'iptables')
  t.equal(of({ backend: 'nftables', conditionsV4: [], conditionsV6: [''] }), 'nftables', 'none demanded')
  t.throws(() => of({ backend: 'ebtables' }), refusal('unrecognized backend "ebtables"'))
  t.throws(
    () => of({ backend: 'iptables', ...nftables }),
    refusal(
      'iptables backend was requested but configuration contains nftables-specific options [conditionsV4 conditionsV6]',
    ),
  )
  t.throws(
    () => of({ backend: 'nftables', externalSetMarkChain: 'KUBE-MARK-MASQ', ...iptables }),
    refusal(
      'nftables backend was requested but configuration contains iptables-specific options [externalSetMarkChain conditionsV4 conditionsV6]',
    ),
  )
  t.throws(
    () => of({ externalSetMarkChain: 'X', ...nftables }),
    refusal(
      'iptables backend was requested but configuration contains nftables-specific options [conditionsV4 conditionsV6]',
    ),
  )
})

t.test('without iptables in PATH the default is nftables', async t => {
  const { PATH } = process.env
  t.teardown(() => {
    process.env.PATH = PATH
  })
  const folder = t.testdir()
  process.env.PATH = folder
  t.equal(read({ backend: undefined }).backend, 'nftables')
  mkdirSync(`${folder}/sbin`)
  writeFileSync(`${folder}/sbin/iptables-restore`, '', { mode: 0o755 })
  process.env.PATH = `${folder}/sbin`
  t.equal(read({ backend: undefined }).backend, 'iptables')
})

t.test('conditions are words; what could end a line is refused', async t => {
  const of = (backend: string, ...conditionsV4: string[]) => read({ backend, conditionsV4 }).conditions[4]
  const strange = ['-m', 'comment', '--comment', `a;b|c&d$(e)\`f\`'g"h\\i#j k`]
  t.same(of('iptables', ...strange), strange, 'to iptables-restore all of that is text')
  t.same(of('nftables', 'ip', 'saddr', '{ 1.2.3.4, 10.0.0.0/8 }'), ['ip', 'saddr', '{ 1.2.3.4, 10.0.0.0/8 }'])
  for (const word of ['a\nCOMMIT', 'a\rb', '\0', 'a\tb', '\u0085'])
    t.throws(
      () => of('iptables', '-s', word),
      { code: 7, message: /^"conditionsV4": / },
      JSON.stringify(word),
    )
  for (const word of ['a\nadd table ip x', 'x; flush ruleset', '# the rest', 'line \\', '\0'])
    t.throws(
      () => of('nftables', 'ip', word),
      { code: 7, message: /^"conditionsV4": / },
      JSON.stringify(word),
    )
  t.throws(() => read({ conditionsV4: '-s 1.2.3.4' }), { code: 7 })
  t.throws(() => read({ conditionsV4: [1] }), { code: 7 })
})

t.test('the container’s address is the first of its interface in each family', async t => {
  const interfaces = [{ name: 'br0' }, { name: 'eth0', sandbox: '/run/netns/c1' }, { name: 'eth0' }]
  const addressesOf = (ips: object[]) =>
    read({ prevResult: { cniVersion: '1.0.0', interfaces, ips } }).addresses
  const both = [parseCidr('10.0.0.2/24'), parseCidr('2001:db8:1::2/64')]
  t.same(
    addressesOf([
      { address: '10.0.0.1/24', interface: 0 },
      { address: '2001:db8:1::2/64', interface: 1 },
      { address: '10.0.0.9/24', interface: 2 },
      { address: '10.0.0.2/24', interface: 1 },
      { address: '10.0.0.3/24', interface: 1 },
    ]),
    both,
    'not the bridge’s, not one without a sandbox',
  )
  t.same(addressesOf([{ address: '10.0.0.2/24' }, { address: '2001:db8:1::2/64' }]), both, 'no interface')
  t.same(
    addressesOf([{ address: '10.0.0.2/24', interface: 9 }]),
    [parseCidr('10.0.0.2/24')],
    'an index too far',
  )
  t.same(addressesOf([{ address: '10.0.0.1/24', interface: 0 }]), [])
})

t.test('a broken prevResult stops ADD and CHECK, and does not keep DEL from cleaning', async t => {
  const keys = { prevResult: { cniVersion: '1.0.0', ips: [{ address: 'x' }] } }
  t.throws(() => read(keys), /prevResult/)
  t.throws(() => read(keys, { command: 'CHECK' }), /prevResult/)
  t.same(read(keys, { command: 'DEL' }).addresses, [])
  t.same(read({ prevResult: resultWith('10.0.0.2/24') }, { command: 'DEL' }).addresses.length, 1)
})
