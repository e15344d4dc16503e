import t from 'tap'
import { type Addr, parseAddr } from '../../../../src/ip/addr'
import { parseCidr } from '../../../../src/ip/cidr'
import {
  concatBytes,
  concatId,
  concatTypes,
  decodeFields,
  decodeValue,
  encodeFields,
  encodeValue,
  formatValue,
  type NftType,
  type NftValue,
} from '../../../../src/netfilter/nft/value'

const addr = (text: string): Addr => {
  const parsed = parseAddr(text)
  if (!parsed) throw new Error(`${text} is no address`)
  return parsed
}

// The elements that `nft --debug=netlink` shows for each value.
const rows: [type: NftType, value: NftValue, hex: string][] = [
  ['ipv4_addr', addr('10.0.0.2'), '0a000002'],
  ['ipv6_addr', addr('fd00::2'), 'fd000000000000000000000000000002'],
  ['ether_addr', '02:00:00:00:00:01', '020000000001'],
  ['inet_proto', 'tcp', '06'],
  ['inet_proto', 'udp', '11'],
  ['inet_proto', 'sctp', '84'],
  ['inet_proto', 1, '01'],
  ['inet_service', 8080, '1f90'],
  ['mark', 0x2000, '00200000'], // host order
  ['ifname', 'eth0', '65746830000000000000000000000000'],
]

t.test('a value is as many bytes as its type has, and comes back from them', async t => {
  for (const [type, value, hex] of rows) {
    t.equal(encodeValue(type, value).toString('hex'), hex, `${type} ${formatValue(value)}`)
    t.same(decodeValue(type, Buffer.from(hex, 'hex')), value)
  }
})

t.test('encodeValue() refuses a value of another type', async t => {
  const refused: [type: NftType, value: NftValue][] = [
    ['ipv4_addr', addr('fd00::2')],
    ['ipv4_addr', '10.0.0.2'],
    ['ipv6_addr', addr('10.0.0.2')],
    ['ether_addr', '02:00'],
    ['inet_proto', 'icmp'],
    ['inet_proto', 256],
    ['inet_service', 65536],
    ['inet_service', -1],
    ['inet_service', 1.5],
    ['mark', 2 ** 32],
    ['ifname', ''],
    ['ifname', 'sixteen-letters!'],
  ]
  for (const [type, value] of refused) {
    t.throws(() => encodeValue(type, value), new TypeError(`${formatValue(value)} is no ${type}`))
  }
})

t.test('decodeValue() refuses bytes of another length', async t => {
  t.throws(() => decodeValue('ipv4_addr', Buffer.alloc(3)), new RangeError('3 bytes are no ipv4_addr'))
})

t.test('formatValue() writes as nft does', async t => {
  const cidr = parseCidr('10.0.0.0/8')
  t.equal(cidr && formatValue(cidr), '10.0.0.0/8')
  t.equal(formatValue({ first: 80, last: 90 }), '80-90')
  t.equal(formatValue({ first: addr('10.0.0.1'), last: addr('10.0.0.3') }), '10.0.0.1-10.0.0.3')
  t.equal(formatValue(addr('fd00::2')), 'fd00::2')
})

t.test(
  'a concatenation has six bits of its number for each type, and whole words for each value',
  async t => {
    // NFTA_SET_KEY_TYPE and NFTA_SET_KEY_LEN of nft for: type inet_proto . inet_service, and the like
    const types = new Map<NftType[], [id: number, bytes: number]>([
      [['ipv4_addr'], [7, 4]],
      [['inet_service'], [13, 2]],
      [
        ['inet_proto', 'inet_service'],
        [0x30d, 8],
      ],
      [
        ['ipv4_addr', 'inet_service'],
        [0x1cd, 8],
      ],
      [
        ['ipv6_addr', 'ifname'],
        [0x229, 32],
      ],
      [
        ['ifname', 'ether_addr'],
        [0xa49, 24],
      ],
    ])
    for (const [list, [id, bytes]] of types) {
      t.equal(concatId(list), id)
      t.equal(concatBytes(list), bytes)
      t.same(concatTypes(id), list)
    }
    t.equal(concatTypes((7 << 6) | 20), undefined, 'ifindex is not used here')
  },
)

t.test('encodeFields() puts values side by side', async t => {
  const types: NftType[] = ['ipv4_addr', 'inet_proto', 'inet_service']
  const values = [addr('1.2.3.4'), 'tcp', 8080]
  const hex = '01020304' + '06000000' + '1f900000'
  t.equal(encodeFields(types, values).toString('hex'), hex)
  t.same(decodeFields(types, Buffer.from(hex, 'hex')), values)
  t.throws(() => encodeFields(types, values.slice(1)), {
    message: '2 values are no ipv4_addr . inet_proto . inet_service',
  })
  t.throws(() => decodeFields(types, Buffer.alloc(8)), {
    message: '8 bytes are no ipv4_addr . inet_proto . inet_service',
  })
})
