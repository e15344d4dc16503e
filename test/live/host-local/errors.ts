/** What host-local refuses, and how it says so: the code, and a message that names the object. */
import t, { type Test } from 'tap'
import { binDir, type CallOptions, flavours } from '../../fixtures/cni'
import { type HostLocal, hostLocalConf, hostLocalOn, leasesOn } from '../../fixtures/host-local'
import { PrivateHost } from '../../fixtures/private-host'

const subnet = '10.1.2.0/24'

const confOf = hostLocalConf

const good = confOf({ ranges: [[{ subnet }]] })

type Case = {
  title: string
  code: number
  msg: string | RegExp
  details?: string | RegExp
  command?: string
  conf?: unknown
  options?: CallOptions
}

/** What every plugin refuses, before it looks at its own configuration. */
const protocolCases: Case[] = [
  {
    title: 'variables that are missing, all at once',
    code: 4,
    msg: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
    options: { containerID: '', netns: '', ifName: '', path: '' },
  },
  {
    title: 'DEL without an interface',
    code: 4,
    msg: 'required env variables [CNI_IFNAME] missing',
    command: 'DEL',
    options: { ifName: '' },
  },
  { title: 'an unknown command', code: 4, msg: 'unknown CNI_COMMAND: RENEW', command: 'RENEW' },
  {
    title: 'a container ID that leaves the folder',
    code: 4,
    msg: 'invalid characters in containerID',
    details: '../c1',
    options: { containerID: '../c1' },
  },
  {
    title: 'an interface name with a line break, which would forge a lease',
    code: 4,
    msg: 'interface name contains / or : or whitespace characters',
    details: '"a\\r\\nb"',
    options: { ifName: 'a\r\nb' },
  },
  {
    title: 'no JSON',
    code: 6,
    msg: 'the network configuration on stdin is not JSON',
    details: /JSON/,
    conf: '{"name":',
  },
  { title: 'a list', code: 6, msg: 'the network configuration on stdin is not a JSON object', conf: [] },
  {
    title: 'nothing on stdin',
    code: 6,
    msg: 'the network configuration on stdin is not JSON',
    details: /JSON/,
    conf: '',
  },
  { title: 'no name', code: 7, msg: 'missing network name', conf: { ...good, name: undefined } },
  {
    title: 'a name that leaves the folder',
    code: 7,
    msg: 'invalid characters found in network name',
    details: '../../etc',
    conf: { ...good, name: '../../etc' },
  },
  {
    title: 'the name of our own folder',
    code: 7,
    msg: 'invalid characters found in network name',
    details: '.kubenet',
    conf: { ...good, name: '.kubenet' },
  },
  {
    title: 'an unknown version',
    code: 1,
    msg: 'incompatible CNI versions',
    details: /config is "9.9.9"/,
    conf: { ...good, cniVersion: '9.9.9' },
  },
]

const inSet = (message: string) => `invalid range set 0: ${message}`

/** What host-local refuses of its configuration. */
const confCases: Case[] = [
  { title: 'no ipam', code: 7, msg: "IPAM config missing 'ipam' key", conf: confOf(undefined) },
  { title: 'no ranges', code: 7, msg: 'no IP ranges specified', conf: confOf({}) },
  { title: 'an empty set', code: 7, msg: inSet('empty range set'), conf: confOf({ ranges: [[]] }) },
  {
    title: 'a /31',
    code: 7,
    msg: inSet('Network 10.1.2.0/31 too small to allocate from'),
    conf: confOf({ subnet: '10.1.2.0/31' }),
  },
  {
    title: 'a /32',
    code: 7,
    msg: inSet('Network 10.1.2.1/32 too small to allocate from'),
    conf: confOf({ subnet: '10.1.2.1/32' }),
  },
  {
    title: 'host bits',
    code: 7,
    msg: inSet('Network has host bits set. For a subnet mask of length 24 the network address is 10.1.2.0'),
    conf: confOf({ subnet: '10.1.2.9/24' }),
  },
  {
    title: 'rangeStart outside',
    code: 7,
    msg: inSet('RangeStart 10.1.3.1 not in network 10.1.2.0/24'),
    conf: confOf({ subnet, rangeStart: '10.1.3.1' }),
  },
  {
    title: 'rangeEnd outside',
    code: 7,
    msg: inSet('RangeEnd 10.1.3.1 not in network 10.1.2.0/24'),
    conf: confOf({ subnet, rangeEnd: '10.1.3.1' }),
  },
  {
    title: 'ranges of a set that overlap',
    code: 7,
    msg: inSet('subnets 10.1.2.1-10.1.2.254 and 10.1.0.1-10.1.255.254 overlap'),
    conf: confOf({ ranges: [[{ subnet }, { subnet: '10.1.0.0/16' }]] }),
  },
  {
    title: 'sets that overlap',
    code: 7,
    msg: 'range set 0 overlaps with 1',
    conf: confOf({ subnet, ranges: [[{ subnet: '10.1.0.0/16' }]] }),
  },
  {
    title: 'mixed families',
    code: 7,
    msg: inSet('mixed address families'),
    conf: confOf({ ranges: [[{ subnet }, { subnet: 'fd00::/64' }]] }),
  },
  {
    title: 'two sets of a family before 0.3.0',
    code: 7,
    msg: 'CNI version 0.2.0 does not support more than 1 address per family',
    conf: confOf({ ranges: [[{ subnet }], [{ subnet: '10.2.0.0/24' }]] }, { cniVersion: '0.2.0' }),
  },
  {
    title: 'the same at DEL',
    code: 7,
    msg: 'CNI version 0.1.0 does not support more than 1 address per family',
    conf: confOf({ ranges: [[{ subnet: 'fd00::/64' }], [{ subnet: 'fd01::/64' }]] }, { cniVersion: '0.1.0' }),
    command: 'DEL',
  },
  {
    title: 'a wrong type',
    code: 7,
    msg: 'host-local: "ipam.ranges.0.0.subnet": expected string but received 24',
    conf: confOf({ ranges: [[{ subnet: 24 }]] }),
  },
  {
    title: 'an exclusion that is none',
    code: 7,
    msg: '"exclude": "10.1.2" is no address, network or span "first-last"',
    conf: confOf({ subnet, exclude: ['10.1.2'] }),
  },
  {
    title: 'unknown CNI_ARGS',
    code: 4,
    msg: 'ARGS: unknown args ["FOO=bar"]',
    options: { args: 'IP=10.1.2.9;FOO=bar' },
  },
  {
    title: 'CNI_ARGS that are no pairs',
    code: 4,
    msg: 'ARGS: invalid pair "none"',
    options: { args: 'none' },
  },
  {
    title: 'a resolvConf that is not there',
    code: 5,
    msg: 'read resolvConf "/run/none"',
    details: /^ENOENT/,
    conf: confOf({ subnet, resolvConf: '/run/none' }),
  },
  {
    title: 'GC without a list',
    code: 7,
    msg: /^GC needs the key "cni.dev\/valid-attachments"/,
    command: 'GC',
  },
]

const testCases = async (t: Test, host: PrivateHost, hostLocal: HostLocal, cases: readonly Case[]) => {
  for (const { title, code, msg, details = '', command = 'ADD', conf = good, options } of cases) {
    const answer = await hostLocal(command, conf, options)
    t.equal(answer.code, 1, title)
    t.match({ details: '', ...answer.json }, { code, msg, details }, title)
    t.equal(answer.stderr, '', title)
  }
  t.equal((await host.sh('find /var/lib/cni')).trim(), '/var/lib/cni', 'nothing was made')
}

/** Addresses that cannot be had; .2 is c0's. */
const addressCases: Case[] = [
  {
    title: 'a second ADD',
    code: 7,
    msg: 'failed to allocate for range 0: 10.1.2.2 has been allocated to c0 (pod shop/web-0), duplicate allocation is not allowed',
    options: { containerID: 'c0' },
  },
  {
    title: 'an address that is taken',
    code: 11,
    msg: 'failed to allocate for range 0: requested IP address 10.1.2.2 is not available in range set 10.1.2.1-10.1.2.254',
    details: /^leased by container c0 \(pod shop\/web-0\), eth0, since 20\d\d-\d\d-\d\dT\S+Z$/,
    options: { args: 'IP=10.1.2.2' },
  },
  {
    title: 'the gateway',
    code: 7,
    msg: "failed to allocate for range 0: requested ip 10.1.2.1 is subnet's gateway",
    options: { args: 'IP=10.1.2.1' },
  },
  {
    title: 'an address outside',
    code: 7,
    msg: 'failed to allocate all requested IPs: 10.1.3.9',
    options: { args: 'IP=10.1.3.9' },
  },
  {
    title: 'two of one set',
    code: 7,
    msg: 'failed to allocate all requested IPs: 10.1.2.8',
    conf: { ...good, runtimeConfig: { ips: ['10.1.2.7', '10.1.2.8'] } },
  },
]

const testAddresses = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  await hostLocal('ADD', good, {
    containerID: 'c0',
    args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0',
  })
  for (const { title, code, msg, details = '', conf = good, options } of addressCases) {
    const { json } = await hostLocal('ADD', conf, options)
    t.match({ details: '', ...json }, { code, msg, details }, title)
    t.same(await leasesOn(host), ['10.1.2.2'], `${title}: nothing changed`)
  }
  await hostLocal('DEL', good, { containerID: 'c0' })
}

const testExhaustion = async (t: Test, host: PrivateHost, hostLocal: HostLocal) => {
  const small = confOf(
    { ranges: [[{ subnet: 'fd00::/64' }], [{ subnet: '10.1.3.0/29' }]] },
    { name: 'small' },
  )
  for (let i = 0; i < 5; i++) await hostLocal('ADD', small, { containerID: `c${i}` })
  const before = await leasesOn(host, 'small')
  const { json } = await hostLocal('ADD', small, { containerID: 'late' })
  t.match(json, {
    code: 11,
    msg: 'failed to allocate for range 1: no IP addresses available in range set: 10.1.3.1-10.1.3.6',
    details:
      /^5 of 5 in use; the oldest leases: 10\.1\.3\.2 by container c0, eth0, since \S+; 10\.1\.3\.3 by container c1, .*; 10\.1\.3\.4 by container c2, [^;]*$/,
  })
  t.same(await leasesOn(host, 'small'), before, 'the address of the other set was given back')
  t.equal(await host.sh('cat /var/lib/cni/networks/small/last_reserved_ip.0'), 'fd00::6')
}

for (const flavour of flavours) {
  t.test(`[${flavour}] host-local refuses`, async t => {
    const host = await PrivateHost.create(t)
    const hostLocal = hostLocalOn(host, binDir(flavour))
    const testing = (title: string, work: (t: Test) => Promise<void>) => t.test(title, work)
    await testing('what no plugin takes', t => testCases(t, host, hostLocal, protocolCases))
    await testing('a configuration that is wrong', t => testCases(t, host, hostLocal, confCases))
    await testing('addresses that can’t be had, and changes nothing', t => testAddresses(t, host, hostLocal))
    await testing('an ADD to a full set, saying who has the addresses', t =>
      testExhaustion(t, host, hostLocal),
    )
  })
}
