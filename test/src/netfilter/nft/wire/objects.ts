// Where no other source is named, the bytes are those that nft 1.0.6 sends for the command in the comment (strace -e
// trace=sendmsg -e write=all nft -f …).

import t from 'tap'
import { ruleAttributes, ruleHandle, ruleKey } from '../../../../../src/netfilter/nft/wire/rule'
import { setAttributes, setElemListAttributes } from '../../../../../src/netfilter/nft/wire/set'
import { chainAttributes, tableAttributes } from '../../../../../src/netfilter/nft/wire/table'
import { type NftAttribute, nftBody } from '../../../../../src/netlink/wire/message'

const bytes = (...fields: string[]) => Buffer.from(fields.join('').replaceAll(' ', ''), 'hex')

const sent = (attributes: readonly NftAttribute[]) => nftBody(Buffer.alloc(0), attributes)

t.test('a table is its name and its comment', async t => {
  // add table inet t { comment "tc" ; }, without the NFTA_TABLE_FLAGS of 0 that nft sends too
  t.same(
    sent(tableAttributes({ family: 'inet', name: 't' }, 'tc')),
    bytes('0600 0100 7400 0000', '0900 0600 0003746300 000000'),
  )
  t.same(sent(tableAttributes({ family: 'inet', name: 't' })), bytes('0600 0100 7400 0000'))
})

t.test('a chain is its name; a base chain has type, policy and hook besides', async t => {
  // add chain inet t c { comment "cc" ; }
  t.same(
    sent(chainAttributes('t', { name: 'c', comment: 'cc' })),
    bytes('0600 0100 7400 0000', '0600 0300 6300 0000', '0900 0c00 0003636300 000000'),
  )
  // add chain inet t b { type nat hook prerouting priority -100 ; policy drop; comment "bc"; }
  const chain = {
    name: 'b',
    type: 'nat',
    hook: 'prerouting',
    priority: -100,
    policy: 'drop',
    comment: 'bc',
  } as const
  t.same(
    sent(chainAttributes('t', chain)),
    bytes(
      '0600 0100 7400 0000',
      '0600 0300 6200 0000',
      '0800 0700 6e617400',
      '0800 0500 00000000',
      '1400 0480',
      '0800 0100 00000000',
      '0800 0200 ffffff9c',
      '0900 0c00 0003626300 000000',
    ),
  )
})

t.test('a rule is its chain, its expressions and its comment', async t => {
  // counted from the attributes; the order is that of: add rule inet t c … comment "rc"
  t.same(
    sent(ruleAttributes('t', 'c', { expressions: [{ name: 'counter', attributes: [] }], comment: 'rc' })),
    bytes(
      '0600 0100 7400 0000',
      '0600 0200 6300 0000',
      '1800 0480',
      '1400 0180',
      '0c00 0100 636f756e74657200',
      '0400 0280',
      '0900 0700 0003726300 000000',
    ),
  )
})

t.test('a rule is deleted by its handle, all of a chain by its name', async t => {
  // flush chain inet t c
  t.same(sent(ruleKey('t', 'c')), bytes('0600 0100 7400 0000', '0600 0200 6300 0000'))
  // counted from the attributes
  t.same(
    sent(ruleHandle('t', 'c', 0x1_0000_0007n)),
    bytes('0600 0100 7400 0000', '0600 0200 6300 0000', '0c00 0300 0000000100000007'),
  )
})

t.test('a set is its types, their byte orders and its comment', async t => {
  // add set inet t s { type ipv4_addr ; flags interval; comment "sc"; }
  const key = { type: 7, bytes: 4, byteOrder: 2 }
  t.same(
    sent(setAttributes('t', { name: 's', flags: 4, key, comment: 'sc' }, 1)),
    bytes(
      '0600 0100 7400 0000',
      '0600 0200 7300 0000',
      '0800 0300 00000004',
      '0800 0400 00000007',
      '0800 0500 00000004',
      '0800 0a00 00000001',
      '0f00 0d00 000402000000 07 03 736300 00',
    ),
  )
})

t.test('a concatenation with intervals describes its parts', async t => {
  // add set inet t cc { type ipv4_addr . inet_service; flags interval; }, without the type expressions in userdata
  const key = { type: 461, bytes: 8, byteOrder: 0 }
  t.same(
    sent(setAttributes('t', { name: 'cc', flags: 0x84, key, concat: [4, 2] }, 4)),
    bytes(
      '0600 0100 7400 0000',
      '0700 0200 636300 00',
      '0800 0300 00000084',
      '0800 0400 000001cd',
      '0800 0500 00000008',
      '0800 0a00 00000004',
      '2000 0980',
      '1c00 0280',
      '0c00 0180',
      '0800 0100 00000004',
      '0c00 0180',
      '0800 0100 00000002',
      '0a00 0d00 000400000000 0000',
    ),
  )
})

t.test('a map has the type of its data too', async t => {
  // add map inet t h { type inet_service : ipv4_addr; }, without the flag for intervals in data
  const [key, data] = [
    { type: 13, bytes: 2, byteOrder: 2 },
    { type: 7, bytes: 4, byteOrder: 2 },
  ]
  t.same(
    sent(setAttributes('t', { name: 'h', flags: 8, key, data }, 8)),
    bytes(
      '0600 0100 7400 0000',
      '0600 0200 6800 0000',
      '0800 0300 00000008',
      '0800 0400 0000000d',
      '0800 0500 00000002',
      '0800 0600 00000007',
      '0800 0700 00000004',
      '0800 0a00 00000008',
      '1000 0d00 000402000000 010402000000',
    ),
  )
})

t.test('elements are a list; nft numbers them, here each is an NFTA_LIST_ELEM', async t => {
  // add element inet t m { tcp . 80 comment "x" : 10.0.0.1 . 80 }, without NFTA_SET_ELEM_LIST_SET_ID
  const element = {
    key: bytes('06000000', '00500000'),
    data: bytes('0a000001', '00500000'),
    userdata: bytes('00 02 7800'),
  }
  t.same(
    sent(setElemListAttributes('t', 'm', [element])),
    bytes(
      '0600 0100 7400 0000',
      '0600 0200 6d00 0000',
      '3000 0380',
      '2c00 0180',
      '1000 0180',
      '0c00 0100 0600000000500000',
      '1000 0280',
      '0c00 0100 0a00000100500000',
      '0800 0600 00027800',
    ),
  )
  // flush set inet t s
  t.same(sent(setElemListAttributes('t', 's')), bytes('0600 0100 7400 0000', '0600 0200 7300 0000'))
})

t.test('an interval ends with a flagged element, one of a concatenation with a second key', async t => {
  // add element inet t s { 10.0.0.0/8 }
  t.same(
    sent(setElemListAttributes('t', 's', [{ key: bytes('0a000000') }, { key: bytes('0b000000'), flags: 1 }])),
    bytes(
      '0600 0100 7400 0000',
      '0600 0200 7300 0000',
      '2c00 0380',
      '1000 0180',
      '0c00 0180',
      '0800 0100 0a000000',
      '1800 0180',
      '0800 0300 00000001',
      '0c00 0180',
      '0800 0100 0b000000',
    ),
  )
  // add element inet t cc { 10.0.0.0/8 . 80 }
  const range = { key: bytes('0a00000000500000'), keyEnd: bytes('0affffff00500000') }
  t.same(
    sent(setElemListAttributes('t', 'cc', [range])),
    bytes(
      '0600 0100 7400 0000',
      '0700 0200 636300 00',
      '2800 0380',
      '2400 0180',
      '1000 0180',
      '0c00 0100 0a00000000500000',
      '1000 0a80',
      '0c00 0100 0affffff00500000',
    ),
  )
})
