import t from 'tap'
import { parseAddr } from '../../../../src/ip/addr'
import { parseCidr } from '../../../../src/ip/cidr'
import { rule, ruleExpressions } from '../../../../src/netfilter/nft/rule'
import * as x from '../../../../src/netfilter/nft/selector'
import type { NftSet } from '../../../../src/netfilter/nft/set'
import * as m from '../../../../src/netfilter/nft/statement'
import type { NftFamily } from '../../../../src/netfilter/nft/wire/message'
import type { NftAttribute } from '../../../../src/netlink/wire/message'

const addr = (text: string) => {
  const parsed = parseAddr(text)
  if (!parsed) throw new Error(`${text} is no address`)
  return parsed
}

const cidr = (text: string) => {
  const parsed = parseCidr(text)
  if (!parsed) throw new Error(`${text} is no network`)
  return parsed
}

const word = ([type, value]: NftAttribute): string => {
  if (value === undefined) return ''
  if (typeof value === 'number') return `${type}=${value}`
  if (typeof value === 'string') return value
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value.map(word).join(' ')
}

/** Each expression as its name, its attributes as type=number, its data in hex. */
const words = (family: NftFamily, statements: readonly m.Statement[]) =>
  ruleExpressions(family, rule(statements)).map(({ name, attributes }) =>
    [name, ...attributes.map(word).filter(Boolean)].join(' '),
  )

const nfproto = (number: string) => ['meta 2=15 1=1', `cmp 1=1 2=0 ${number}`]
const l4proto = (number: string) => ['meta 2=16 1=1', `cmp 1=1 2=0 ${number}`]

t.test('an IP address is compared behind its version, where the table has both', async t => {
  const match = [m.eq(x.ipSaddr, addr('10.0.0.2'))]
  const compared = ['payload 1=1 2=1 3=12 4=4', 'cmp 1=1 2=0 0a000002']
  t.same(words('ip', match), compared)
  t.same(words('inet', match), [...nfproto('02'), ...compared])
  t.same(words('bridge', match), ['meta 2=1 1=1', 'cmp 1=1 2=0 0800', ...compared], 'meta protocol ip')
  t.same(words('inet', [m.eq(x.ip6Daddr, addr('fd00::2'))]), [
    ...nfproto('0a'),
    'payload 1=1 2=1 3=24 4=16',
    'cmp 1=1 2=0 fd000000000000000000000000000002',
  ])
})

t.test('a rule does not check twice', async t => {
  const statements = [
    m.eq(x.ipSaddr, addr('10.0.0.2')),
    m.neq(x.ipDaddr, addr('10.0.0.3')),
    m.eq(x.dport('tcp'), 80),
    m.neq(x.dport('tcp'), 81),
  ]
  t.same(words('inet', statements), [
    ...nfproto('02'),
    'payload 1=1 2=1 3=12 4=4',
    'cmp 1=1 2=0 0a000002',
    'payload 1=1 2=1 3=16 4=4',
    'cmp 1=1 2=1 0a000003',
    ...l4proto('06'),
    'payload 1=1 2=2 3=2 4=2',
    'cmp 1=1 2=0 0050',
    'payload 1=1 2=2 3=2 4=2',
    'cmp 1=1 2=1 0051',
  ])
})

t.test('an Ethernet address is compared behind the interface type, but in the family bridge', async t => {
  const match = [m.eq(x.etherSaddr, '02:00:00:00:00:01')]
  const compared = ['payload 1=1 2=0 3=6 4=6', 'cmp 1=1 2=0 020000000001']
  t.same(words('bridge', match), compared)
  t.same(words('inet', match), ['meta 2=8 1=1', 'cmp 1=1 2=0 0100', ...compared])
})

t.test('a rule can be made once and added to tables of several families', async t => {
  const statements = [m.eq(x.ipSaddr, addr('10.0.0.2'))]
  t.equal(words('inet', statements).length, 4)
  t.equal(words('ip', statements).length, 2)
  t.equal(words('inet', statements).length, 4)
})

t.test('a rule that no packet could meet is refused', async t => {
  const v6 = m.eq(x.ip6Saddr, addr('fd00::2'))
  t.throws(() => words('ip', [v6]), { message: 'a match of IPv6 in a rule of IPv4' })
  t.throws(() => words('inet', [m.eq(x.ipSaddr, addr('10.0.0.2')), v6]), {
    message: 'a match of IPv6 in a rule of IPv4',
  })
  t.throws(() => words('inet', [m.eq(x.dport('tcp'), 80), m.eq(x.dport('udp'), 80)]), {
    message: 'a match of udp in a rule of tcp',
  })
  t.throws(() => m.eq(x.ipSaddr, addr('fd00::2')), { message: 'fd00::2 is no ipv4_addr' })
})

t.test('a network is compared by its whole bytes, or under a mask', async t => {
  const compared = (text: string) => words('ip', [m.eq(x.ipDaddr, cidr(text))])
  t.same(compared('10.0.0.0/8'), ['payload 1=1 2=1 3=16 4=1', 'cmp 1=1 2=0 0a'])
  t.same(compared('10.0.0.77/24'), ['payload 1=1 2=1 3=16 4=3', 'cmp 1=1 2=0 0a0000'])
  t.same(compared('10.0.0.5/32'), ['payload 1=1 2=1 3=16 4=4', 'cmp 1=1 2=0 0a000005'])
  const [load, mask, cmp] = compared('10.16.0.0/12')
  t.equal(load, 'payload 1=1 2=1 3=16 4=4')
  t.equal(mask, 'bitwise 1=1 2=1 3=4 fff00000 00000000')
  t.equal(cmp, 'cmp 1=1 2=0 0a100000')
  t.same(compared('0.0.0.0/0')[1], 'bitwise 1=1 2=1 3=4 00000000 00000000')
  t.same(
    words('ip6', [m.eq(x.ip6Daddr, cidr('fe80::/10'))])[1]
      ?.split(' ')
      .at(-2),
    `ffc0${'0'.repeat(28)}`,
  )
})

t.test('marks are compared and set in host order', async t => {
  t.same(words('ip', [m.eq(x.and(x.metaMark, 0x2000), 0x2000)]), [
    'meta 2=3 1=1',
    'bitwise 1=1 2=1 3=4 00200000 00000000',
    'cmp 1=1 2=0 00200000',
  ])
  t.same(words('ip', [m.setMarkBits(0x2000)]), [
    'meta 2=3 1=1',
    'bitwise 1=1 2=1 3=4 ffdfffff 00200000',
    'meta 2=3 3=1',
  ])
})

t.test('an interface name is compared whole with its NUL, a pattern without', async t => {
  t.same(words('ip', [m.eq(x.iifname, 'eth0')])[1], `cmp 1=1 2=0 65746830${'0'.repeat(24)}`)
  t.same(words('ip', [m.neq(x.oifname, 'cali*')])[1], 'cmp 1=1 2=1 63616c69')
  t.throws(() => m.eq(x.iifname, 'a-name-of-16-byt'), TypeError)
})

const ports: NftSet = {
  name: 'ports',
  key: ['ipv4_addr', 'inet_proto', 'inet_service'],
  data: ['ipv4_addr', 'inet_service'],
}

t.test('a key is loaded side by side, data comes to where it stood', async t => {
  t.same(words('inet', [m.dnatToMap([x.ipDaddr, x.metaL4proto, x.thDport], ports)]), [
    ...nfproto('02'),
    'payload 1=1 2=1 3=16 4=4',
    'meta 2=16 1=9',
    'payload 1=10 2=2 3=2 4=2',
    'lookup 2=1 3=1 ports',
    'nat 1=1 2=2 3=1 5=9',
  ])
  const ports6: NftSet = {
    name: 'ports6',
    key: ['ipv6_addr', 'inet_proto', 'inet_service'],
    data: ['ipv6_addr', 'inet_service'],
  }
  t.same(words('ip6', [m.dnatToMap([x.ip6Daddr, x.metaL4proto, x.thDport], ports6)]), [
    'payload 1=1 2=1 3=24 4=16',
    'meta 2=16 1=2',
    'payload 1=13 2=2 3=2 4=2',
    'lookup 2=1 3=1 ports6',
    'nat 1=1 2=10 3=1 5=2',
  ])
})

t.test('a lookup must fit the set, a dnat the map', async t => {
  const pods: NftSet = { name: 'pods', key: ['ipv4_addr'] }
  t.throws(() => words('inet', [m.inSet([x.ip6Saddr], pods)]), {
    message: 'a lookup of ipv6_addr in "pods" of ipv4_addr',
  })
  t.throws(() => words('inet', [m.inSet([x.ipSaddr, x.thDport], pods)]), TypeError)
  t.throws(() => m.dnatToMap([x.ipSaddr], pods), { message: 'dnat to nothing of "pods"' })
  t.throws(() => m.dnatToMap([x.thDport], { name: 'm', key: ['inet_service'], data: ['inet_service'] }), {
    message: 'dnat to inet_service of "m"',
  })
})

t.test('ct state and ct status ask for any of the bits', async t => {
  t.same(words('ip', [m.ctState('established', 'related')]), [
    'ct 2=0 1=1',
    'bitwise 1=1 2=1 3=4 06000000 00000000',
    'cmp 1=1 2=1 00000000',
  ])
  t.same(words('ip', [m.ctStatus('dnat')])[1], 'bitwise 1=1 2=1 3=4 20000000 00000000')
})
