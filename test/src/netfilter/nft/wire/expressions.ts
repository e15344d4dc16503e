// Where no other source is named, the bytes are those that nft 1.0.6 sends for the rule in the comment (strace -e
// trace=sendmsg -e write=all nft -f …), less the NFTA_LOOKUP_SET_ID that it adds to a set's name.

import t from 'tap'
import {
  type Expression,
  putExpressions,
  registerAt,
  registerBytes,
} from '../../../../../src/netfilter/nft/wire/expression'
import {
  bitwise,
  cmp,
  ctLoad,
  fib,
  lookup,
  metaLoad,
  metaSet,
  NFT_CMP_EQ,
  NFT_CMP_NEQ,
  NFT_CT_STATE,
  NFT_CT_STATUS,
  NFT_FIB_RESULT_ADDRTYPE,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFTA_FIB_F_DADDR,
  payloadLoad,
} from '../../../../../src/netfilter/nft/wire/match'
import {
  immediate,
  immediateVerdict,
  masq,
  NF_ACCEPT,
  NF_DROP,
  NF_NAT_RANGE_PROTO_RANDOM_FULLY,
  NFT_GOTO,
  NFT_JUMP,
  NFT_NAT_DNAT,
  NFT_RETURN,
  nat,
} from '../../../../../src/netfilter/nft/wire/statement'
import { nftBody } from '../../../../../src/netlink/wire/message'

const hex = (...fields: string[]) => fields.join('').replaceAll(' ', '')

/** The expression as it stands in NFTA_RULE_EXPRESSIONS. */
const sent = (expression: Expression) =>
  nftBody(Buffer.alloc(0), putExpressions([expression])).toString('hex')

const rows: [text: string, expression: Expression, fields: string[]][] = [
  [
    'meta load nfproto => reg 1',
    metaLoad(NFT_META_NFPROTO, 1),
    ['2400 0180', '0900 0100 6d65746100 000000', '1400 0280', '0800 0200 0000000f', '0800 0100 00000001'],
  ],
  [
    'meta load l4proto => reg 1',
    metaLoad(NFT_META_L4PROTO, 1),
    ['2400 0180', '0900 0100 6d65746100 000000', '1400 0280', '0800 0200 00000010', '0800 0100 00000001'],
  ],
  [
    'meta set mark with reg 1',
    metaSet(NFT_META_MARK, 1),
    ['2400 0180', '0900 0100 6d65746100 000000', '1400 0280', '0800 0200 00000003', '0800 0300 00000001'],
  ],
  [
    'payload load 4b @ network header + 12 => reg 1', // ip saddr
    payloadLoad({ base: NFT_PAYLOAD_NETWORK_HEADER, offset: 12, bytes: 4 }, 1),
    [
      '3400 0180',
      '0c00 0100 7061796c6f616400',
      '2400 0280',
      '0800 0100 00000001',
      '0800 0200 00000001',
      '0800 0300 0000000c',
      '0800 0400 00000004',
    ],
  ],
  [
    'payload load 2b @ transport header + 2 => reg 9', // th dport behind meta l4proto
    payloadLoad({ base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, bytes: 2 }, 9),
    [
      '3400 0180',
      '0c00 0100 7061796c6f616400',
      '2400 0280',
      '0800 0100 00000009',
      '0800 0200 00000002',
      '0800 0300 00000002',
      '0800 0400 00000002',
    ],
  ],
  [
    'cmp eq reg 1 0x02', // one byte, filled up with three
    cmp(1, NFT_CMP_EQ, Buffer.from([2])),
    [
      '2c00 0180',
      '0800 0100 636d7000',
      '2000 0280',
      '0800 0100 00000001',
      '0800 0200 00000000',
      '0c00 0380',
      '0500 0100 02 000000',
    ],
  ],
  [
    'cmp neq reg 1 0x00000000',
    cmp(1, NFT_CMP_NEQ, Buffer.alloc(4)),
    [
      '2c00 0180',
      '0800 0100 636d7000',
      '2000 0280',
      '0800 0100 00000001',
      '0800 0200 00000001',
      '0c00 0380',
      '0800 0100 00000000',
    ],
  ],
  [
    'bitwise reg 1 = ( reg 1 & 255.240.0.0 ) ^ 0', // ip saddr 10.0.0.0/12
    bitwise(1, Buffer.from([255, 240, 0, 0]), Buffer.alloc(4)),
    [
      '4400 0180',
      '0c00 0100 6269747769736500',
      '3400 0280',
      '0800 0100 00000001',
      '0800 0200 00000001',
      '0800 0300 00000004',
      '0c00 0480',
      '0800 0100 fff00000',
      '0c00 0580',
      '0800 0100 00000000',
    ],
  ],
  [
    'lookup reg 1 set s', // counted from the attributes: nft's own has the set's id behind it
    lookup(1, 's'),
    ['2400 0180', '0b00 0100 6c6f6f6b757000 00', '1400 0280', '0800 0200 00000001', '0600 0100 7300 0000'],
  ],
  [
    'lookup reg 1 set s 0x1',
    lookup(1, 's', { inverse: true }),
    [
      '2c00 0180',
      '0b00 0100 6c6f6f6b757000 00',
      '1c00 0280',
      '0800 0200 00000001',
      '0600 0100 7300 0000',
      '0800 0500 00000001',
    ],
  ],
  [
    'lookup reg 1 set m dreg 1',
    lookup(1, 'm', { dreg: 1 }),
    [
      '2c00 0180',
      '0b00 0100 6c6f6f6b757000 00',
      '1c00 0280',
      '0800 0200 00000001',
      '0800 0300 00000001',
      '0600 0100 6d00 0000',
    ],
  ],
  [
    'immediate reg 1 10.0.0.2',
    immediate(1, Buffer.from([10, 0, 0, 2])),
    [
      '2c00 0180',
      '0e00 0100 696d6d65646961746500 0000',
      '1800 0280',
      '0800 0100 00000001',
      '0c00 0280',
      '0800 0100 0a000002',
    ],
  ],
  [
    'immediate reg 2 80',
    immediate(2, Buffer.from([0, 80])),
    [
      '2c00 0180',
      '0e00 0100 696d6d65646961746500 0000',
      '1800 0280',
      '0800 0100 00000002',
      '0c00 0280',
      '0600 0100 0050 0000',
    ],
  ],
  [
    'immediate reg 0 goto -> e',
    immediateVerdict(NFT_GOTO, 'e'),
    [
      '3800 0180',
      '0e00 0100 696d6d65646961746500 0000',
      '2400 0280',
      '0800 0100 00000000',
      '1800 0280',
      '1400 0280',
      '0800 0100 fffffffc',
      '0600 0200 6500 0000',
    ],
  ],
  [
    'nat dnat ip addr_min reg 1 proto_min reg 9',
    nat({ type: NFT_NAT_DNAT, nfproto: 2, addrRegister: 1, portRegister: 9 }),
    [
      '3000 0180',
      '0800 0100 6e617400',
      '2400 0280',
      '0800 0100 00000001',
      '0800 0200 00000002',
      '0800 0300 00000001',
      '0800 0500 00000009',
    ],
  ],
  [
    'nat dnat ip addr_min reg 1 proto_min reg 2 flags 0x2',
    nat({ type: NFT_NAT_DNAT, nfproto: 2, addrRegister: 1, portRegister: 2, flags: 2 }),
    [
      '3800 0180',
      '0800 0100 6e617400',
      '2c00 0280',
      '0800 0100 00000001',
      '0800 0200 00000002',
      '0800 0300 00000001',
      '0800 0500 00000002',
      '0800 0700 00000002',
    ],
  ],
  ['masq', masq(0), ['1400 0180', '0900 0100 6d61737100 000000', '0400 0280']],
  [
    'masq flags 0x10', // masquerade fully-random
    masq(NF_NAT_RANGE_PROTO_RANDOM_FULLY),
    ['1c00 0180', '0900 0100 6d61737100 000000', '0c00 0280', '0800 0100 00000010'],
  ],
  [
    'fib daddr type => reg 1',
    fib(NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, 1),
    [
      '2800 0180',
      '0800 0100 66696200',
      '1c00 0280',
      '0800 0300 00000002',
      '0800 0200 00000003',
      '0800 0100 00000001',
    ],
  ],
  [
    'ct load state => reg 1',
    ctLoad(NFT_CT_STATE, 1),
    ['2000 0180', '0700 0100 637400 00', '1400 0280', '0800 0200 00000000', '0800 0100 00000001'],
  ],
  [
    'ct load status => reg 1',
    ctLoad(NFT_CT_STATUS, 1),
    ['2000 0180', '0700 0100 637400 00', '1400 0280', '0800 0200 00000002', '0800 0100 00000001'],
  ],
]

t.test('an expression is sent as nft sends it', async t => {
  for (const [text, expression, fields] of rows) t.equal(sent(expression), hex(...fields), text)
})

t.test('a verdict has its number, a signed one below the netfilter verdicts', async t => {
  const numbers = new Map([
    [immediateVerdict(NF_DROP), '00000000'],
    [immediateVerdict(NF_ACCEPT), '00000001'],
    [immediateVerdict(NFT_JUMP, 'c'), 'fffffffd'],
    [immediateVerdict(NFT_RETURN), 'fffffffb'],
  ])
  for (const [expression, number] of numbers) t.match(sent(expression), hex('0800 0100', number))
})

t.test('registerAt() names a place in the register file as nft does', async t => {
  // `[ payload load … => reg 9 ]` and the like of `nft --debug=netlink`, by offset in bytes
  const names = new Map([
    [0, 1],
    [4, 9],
    [8, 10],
    [16, 2],
    [20, 13],
    [32, 3],
  ])
  for (const [offset, name] of names) t.equal(registerAt(offset), name, `byte ${offset}`)
})

t.test('registerBytes() fills up to whole words', async t => {
  for (const [bytes, filled] of [
    [1, 4],
    [2, 4],
    [4, 4],
    [6, 8],
    [16, 16],
  ] as const) {
    t.equal(registerBytes(bytes), filled)
  }
})
