import t from 'tap'
import { parseAddr } from '../../../../src/ip/addr'
import { parseCidr } from '../../../../src/ip/cidr'
import {
  formatElement,
  type NftSet,
  readElements,
  readShape,
  wireElement,
  wireKeys,
  wireSet,
} from '../../../../src/netfilter/nft/set'
import { formatValues, type NftValue } from '../../../../src/netfilter/nft/value'
import { readUserdata } from '../../../../src/netfilter/nft/wire/message'
import type { ReadSetElem, SetElem } from '../../../../src/netfilter/nft/wire/set'

const value = (text: string): NftValue => {
  const parsed = parseCidr(text) ?? parseAddr(text)
  if (!parsed) throw new Error(`${text} is neither a network nor an address`)
  return parsed
}

const range = (first: string, last: string): NftValue => {
  const [from, to] = [parseAddr(first), parseAddr(last)]
  if (!from || !to) throw new Error('no range')
  return { first: from, last: to }
}

const v4: NftSet = { name: 'v4', key: ['ipv4_addr'], interval: true }
const v6: NftSet = { name: 'v6', key: ['ipv6_addr'], interval: true }

/** The borders as `nft --debug=netlink` writes them, an end in brackets. */
const borders = (elements: readonly SetElem[]) =>
  elements.map(({ key, flags }) => (flags === 1 ? `[${key.toString('hex')}]` : key.toString('hex'))).join(' ')

/** What the kernel would list of what was sent. */
const listed = (elements: readonly SetElem[]): ReadSetElem[] =>
  elements.map(({ key, keyEnd, data, flags = 0, userdata }) => ({
    key,
    keyEnd,
    data,
    flags,
    notes: readUserdata(userdata),
  }))

t.test('an interval begins with its first key and ends behind its last', async t => {
  const cases = new Map([
    ['10.0.0.0/8', '0a000000 [0b000000]'],
    ['192.168.1.0/24', 'c0a80100 [c0a80200]'],
    ['10.1.2.3/8', '0a000000 [0b000000]'], // host bits do not count, as in nft
    ['10.1.2.3', '0a010203 [0a010204]'],
    ['10.0.0.255/32', '0a0000ff [0a000100]'],
    ['0.0.0.0', '00000000 [00000001]'],
  ])
  for (const [text, expected] of cases) {
    t.equal(borders(wireElement(v4, { key: [value(text)] })), expected, text)
  }
  const last = range('1.2.3.4', '1.2.3.9')
  t.equal(borders(wireElement(v4, { key: [last] })), '01020304 [0102030a]')
})

t.test('an interval up to the last address has no end, and a note that says so', async t => {
  // add element ip t s { 255.255.255.255 }; add set ip t s { …; elements = { 0.0.0.0/0 } }
  for (const [text, first] of [
    ['255.255.255.255', 'ffffffff'],
    ['0.0.0.0/0', '00000000'],
    ['224.0.0.0/3', 'e0000000'],
  ] as const) {
    const elements = wireElement(v4, { key: [value(text)] })
    t.equal(borders(elements), first, text)
    t.equal(elements[0]?.userdata?.toString('hex'), '01' + '04' + '01000000')
  }
  // elements = { ff00::/8 comment "mc" }
  const [v6Element] = wireElement(v6, { key: [value('ff00::/8')], comment: 'mc' })
  t.equal(v6Element?.userdata?.toString('hex'), '00' + '03' + '6d6300' + '01' + '04' + '01000000')
})

t.test('data and comment stand where the interval begins', async t => {
  const map: NftSet = { name: 'm', key: ['inet_service'], data: ['ipv4_addr'], interval: true }
  const elements = wireElement(map, {
    key: [{ first: 80, last: 90 }],
    data: [value('10.0.0.2')],
    comment: 'c',
  })
  t.equal(borders(elements), '0050 [005b]')
  t.equal(elements[0]?.data?.toString('hex'), '0a000002')
  t.equal(elements[0]?.userdata?.toString('hex'), '00' + '02' + '6300')
  t.equal(elements[1]?.data, undefined)
  t.equal(elements[1]?.userdata, undefined)
})

t.test('wireElement() refuses an interval that ends before it begins', async t => {
  t.throws(() => wireElement(v4, { key: [range('10.0.0.2', '10.0.0.1')] }), RangeError)
})

t.test('intervals come back in order, as networks where they are some', async t => {
  const texts = ['0.0.0.0/32', '10.0.0.0/8', '11.0.0.0/9', '172.16.0.1/32', '240.0.0.0/4']
  const sent = texts.map(text => wireElement(v4, { key: [value(text)], comment: text }))
  // The kernel lists in descending order, the end of one network and the start of the next at the same key.
  const elements = readElements(v4, listed(sent.flat()).reverse())
  t.same(
    elements.map(({ key, comment }) => [formatValues(key), comment]),
    [
      ['0.0.0.0', '0.0.0.0/32'],
      ['10.0.0.0/8', '10.0.0.0/8'],
      ['11.0.0.0/9', '11.0.0.0/9'],
      ['172.16.0.1', '172.16.0.1/32'],
      ['240.0.0.0/4', '240.0.0.0/4'],
    ],
  )
})

t.test('the end that nft puts at the start of the space closes nothing', async t => {
  const leading: SetElem = { key: Buffer.alloc(4), flags: 1 }
  const elements = readElements(v4, listed([leading, ...wireElement(v4, { key: [value('0.0.0.0/0')] })]))
  t.same(
    elements.map(({ key }) => formatValues(key)),
    ['0.0.0.0/0'],
  )
})

t.test('an interval that is no network comes back as a range', async t => {
  for (const [first, last] of [
    ['10.0.0.1', '10.0.0.2'], // as long as a /31, but not where one begins
    ['10.0.0.0', '10.0.0.2'],
  ] as const) {
    const elements = readElements(v4, listed(wireElement(v4, { key: [range(first, last)] })))
    t.equal(elements.map(({ key }) => formatValues(key)).join(), `${first}-${last}`)
  }
})

t.test('a concatenation with intervals has its first and last key in one element', async t => {
  const set: NftSet = { name: 'cc', key: ['ipv4_addr', 'inet_service'], interval: true }
  const key = [value('10.0.0.0/8'), { first: 80, last: 90 }]
  const elements = wireElement(set, { key, comment: 'x' })
  t.equal(elements.length, 1)
  t.equal(elements[0]?.key.toString('hex'), '0a000000' + '00500000')
  t.equal(elements[0]?.keyEnd?.toString('hex'), '0affffff' + '005a0000')
  t.same(wireSet(set), {
    name: 'cc',
    flags: 0x84,
    key: { type: 461, bytes: 8, byteOrder: 0 },
    data: undefined,
    concat: [4, 2],
    comment: undefined,
  })
  t.equal(readElements(set, listed(elements)).map(formatElement).join(), '10.0.0.0/8 . 80-90')
})

t.test('a set without intervals takes single values only', async t => {
  const set: NftSet = { name: 'pods', key: ['ipv4_addr'] }
  t.equal(borders(wireElement(set, { key: [value('10.0.0.2')] })), '0a000002')
  t.throws(() => wireElement(set, { key: [value('10.0.0.0/8')] }), { message: '10.0.0.0/8 is no ipv4_addr' })
})

t.test('wireElement() refuses data for a set, and a map element without', async t => {
  const set: NftSet = { name: 'pods', key: ['ipv4_addr'] }
  const map: NftSet = { name: 'ports', key: ['inet_service'], data: ['ipv4_addr'] }
  t.throws(() => wireElement(set, { key: [value('10.0.0.2')], data: [80] }), {
    message: '10.0.0.2 : 80 does not fit "pods"',
  })
  t.throws(() => wireElement(map, { key: [80] }), { message: '80 does not fit "ports"' })
  t.equal(borders(wireKeys(map, { key: [80] })), '0050', 'to delete it, the key is enough')
})

t.test('wireSet() refuses intervals of a type without an order on the wire', async t => {
  t.throws(() => wireSet({ name: 's', key: ['ifname'], interval: true }), {
    message: 'set "s" with intervals of ifname',
  })
})

t.test('readShape() is the set as it was declared, or undefined for foreign types', async t => {
  const table = 't'
  t.same(readShape({ table, name: 'm', flags: 8, keyType: 0x30d, dataType: 0x1cd, comment: 'c' }), {
    name: 'm',
    key: ['inet_proto', 'inet_service'],
    data: ['ipv4_addr', 'inet_service'],
    interval: false,
    comment: 'c',
  })
  t.equal(readShape({ table, name: 's', flags: 0, keyType: 20, dataType: undefined, comment: '' }), undefined)
})
