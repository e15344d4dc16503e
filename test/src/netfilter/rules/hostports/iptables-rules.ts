import t from 'tap'
import { hostportComment, networkOfHostportComment } from '../../../../../src/attachment/iptables-names'
import {
  addLine,
  checkLine,
  containerRules,
  sharedNatRules,
} from '../../../../../src/netfilter/rules/hostports/iptables-rules'
import { localnetRules } from '../../../../../src/netfilter/rules/localnet'
import { mapping, read, resultWith } from '../../../../plugins/portmap/fixtures/call'

const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
const dual = resultWith('10.1.2.3/24', 'fd00:2::3/64')

/** The rules of the container "c1" on the network "net" for one family; its chain is written CNI-DN-X. */
const rulesFor = (family: 4 | 6, keys: object): { rules: string[]; entries: string[] } => {
  const conf = read({ prevResult: dual, ...keys })
  const address = conf.addresses.find(({ addr }) => addr.family === family)
  if (!address) throw new Error('no address of that family')
  const { chain, rules, entries } = containerRules(conf, address)
  const short = (text: string) => text.replaceAll(chain, 'CNI-DN-X')
  return { rules: rules.map(addLine).map(short), entries: entries.map(addLine).map(short) }
}

const comment = '-m comment --comment "dnat name: \\"net\\" id: \\"c1\\""'

t.test('the container’s chain is named by a hash, as the reference’s', async t => {
  const conf = read({ prevResult: dual, ...mapping(web) })
  const [address] = conf.addresses
  // printf netc1 | sha512sum
  t.equal(address && containerRules(conf, address).chain, 'CNI-DN-623e1c388032b20529218')
})

t.test('one port: hairpin mark, localhost mark, dnat', async t => {
  t.same(rulesFor(4, mapping(web)), {
    rules: [
      '-A CNI-DN-X -s 10.1.2.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
      '-A CNI-DN-X -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
      '-A CNI-DN-X -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80',
    ],
    entries: [`-A CNI-HOSTPORT-DNAT -p tcp ${comment} -m multiport --dports 8080 -j CNI-DN-X`],
  })
})

t.test('IPv6 has no localhost mark, and its address in brackets', async t => {
  t.same(rulesFor(6, mapping(web)), {
    rules: [
      '-A CNI-DN-X -s fd00:2::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
      '-A CNI-DN-X -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:2::3]:80',
    ],
    entries: [`-A CNI-HOSTPORT-DNAT -p tcp ${comment} -m multiport --dports 8080 -j CNI-DN-X`],
  })
})

t.test('a hostIP stands in each rule of its family; in the other one the port is only listed', async t => {
  const bound = mapping({ ...web, hostIP: '192.0.2.1' })
  t.same(rulesFor(4, bound).rules, [
    '-A CNI-DN-X -s 10.1.2.0/24 -d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
    '-A CNI-DN-X -s 127.0.0.1/32 -d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
    '-A CNI-DN-X -d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80',
  ])
  t.same(rulesFor(6, bound).rules, [])
  t.equal(rulesFor(6, bound).entries.length, 1)
  t.same(
    rulesFor(6, mapping({ ...web, hostIP: '2001:db8::1' })).rules.at(-1),
    '-A CNI-DN-X -d 2001:db8::1/128 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:2::3]:80',
  )
  t.same(rulesFor(4, mapping({ ...web, hostIP: '0.0.0.0' })), rulesFor(4, mapping(web)))
  t.same(rulesFor(6, mapping({ ...web, hostIP: '::' })), rulesFor(6, mapping(web)))
})

t.test('masqAll marks everything, snat false nothing', async t => {
  t.same(rulesFor(4, { ...mapping(web), masqAll: true }).rules, [
    '-A CNI-DN-X -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK',
    '-A CNI-DN-X -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80',
  ])
  t.same(rulesFor(4, { ...mapping(web), snat: false }).rules, [
    '-A CNI-DN-X -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.3:80',
  ])
})

t.test(
  'a multiport rule has at most fifteen ports, each protocol its own, in the order of their names',
  async t => {
    const ports = Array.from({ length: 31 }, (_, i) => ({ ...web, hostPort: 1000 + i }))
    const portsOf = (portMappings: object[]) =>
      rulesFor(4, mapping(...portMappings)).entries.map(
        entry => `${/-p (\S+)/.exec(entry)?.[1]} ${/--dports (\S+)/.exec(entry)?.[1]}`,
      )
    t.same(portsOf(ports), [
      'tcp 1000,1001,1002,1003,1004,1005,1006,1007,1008,1009,1010,1011,1012,1013,1014',
      'tcp 1015,1016,1017,1018,1019,1020,1021,1022,1023,1024,1025,1026,1027,1028,1029',
      'tcp 1030',
    ])
    const mixed = ['udp', 'tcp', 'sctp', 'udp'].map((protocol, i) => ({ ...web, protocol, hostPort: 10 + i }))
    t.same(portsOf(mixed), ['sctp 12', 'tcp 11', 'udp 10,13'])
  },
)

t.test('the rules of the chain are in the order of the mappings', async t => {
  const dports = rulesFor(4, {
    ...mapping({ ...web, hostPort: 3 }, { ...web, hostPort: 1 }),
    snat: false,
  }).rules
  t.same(
    dports.map(rule => /--dport (\d+)/.exec(rule)?.[1]),
    ['3', '1'],
  )
})

t.test('conditions are single words between the ports and the jump', async t => {
  const conditionsV4 = ['!', '-s', '10.0.0.0/8', '-m', 'comment', '--comment', 'a "b" \\c; $(d) e']
  const [entry = ''] = rulesFor(4, { ...mapping(web), conditionsV4 }).entries
  t.equal(
    entry.slice(entry.indexOf('--dports')),
    '--dports 8080 "!" "-s" "10.0.0.0/8" "-m" "comment" "--comment" "a \\"b\\" \\\\c; $(d) e" -j CNI-DN-X',
  )
  t.notMatch(rulesFor(6, { ...mapping(web), conditionsV4 }).entries[0], '10.0.0.0', 'only in their family')
})

t.test('the shared rules carry the mark; bit 31 has no sign', async t => {
  t.same(sharedNatRules(read({})).rules.map(addLine), [
    '-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    '-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE',
    '-I POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
  ])
  const markOf = (markMasqBit: number) =>
    /--mark (\S+)/.exec(sharedNatRules(read({ markMasqBit })).rules[3]?.rule ?? '')?.[1]
  t.equal(markOf(0), '0x1/0x1')
  t.equal(markOf(31), '0x80000000/0x80000000')
})

t.test('with a foreign chain for the mark, or without marks, nothing is shared but the way in', async t => {
  const wayIn = [
    '-C PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-C OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
  ]
  const foreign = { externalSetMarkChain: 'KUBE-MARK-MASQ' }
  t.same(sharedNatRules(read(foreign)).rules.map(checkLine), wayIn)
  t.same(sharedNatRules(read(foreign)).chains, ['CNI-HOSTPORT-DNAT'])
  t.same(sharedNatRules(read({ snat: false })).rules.map(checkLine), wayIn)
  t.match(rulesFor(4, { ...mapping(web), ...foreign }).rules[0], /-j KUBE-MARK-MASQ$/)
})

t.test('neighbours are kept from 127.0.0.0/8, on the way in and on the way through', async t => {
  const guard = '-m comment --comment "CNI portfwd: localhost is for this host" -j CNI-HOSTPORT-LOCAL'
  t.same(localnetRules().rules.map(addLine), [
    '-A CNI-HOSTPORT-LOCAL -d 127.0.0.0/8 ! -i lo -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP',
    '-A CNI-HOSTPORT-LOCAL ! -i lo -m conntrack --ctorigdst 127.0.0.0/8 --ctdir ORIGINAL -j DROP',
    `-I INPUT ${guard}`,
    `-I FORWARD ${guard}`,
  ])
})

t.test('a comment tells its network, also a shortened one', async t => {
  t.equal(networkOfHostportComment(hostportComment('net', 'c1')), 'net')
  const long = hostportComment('net', 'c'.repeat(300))
  t.equal(long.length, 255)
  t.equal(networkOfHostportComment(long), 'net')
  for (const other of ['name: "net" id: "c1"', 'dnat name: "net"', '', 'CNI portfwd requiring masquerade'])
    t.equal(networkOfHostportComment(other), undefined, other)
})
