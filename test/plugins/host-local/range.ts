import fc from 'fast-check'
import t from 'tap'
import {
  candidates,
  capacityOf,
  countCovered,
  formatRangeSet,
  formatSpan,
  inSpan,
  isAllocatable,
  parseSpan,
  type RangeInput,
  rangeOf,
  rangeSet,
  setsOverlap,
  spansOverlap,
} from '../../../plugins/host-local/range'
import { formatAddr } from '../../../src/ip/addr'
import { addr, cidr } from './fixtures/addr'

type Texts = { subnet?: string; rangeStart?: string; rangeEnd?: string; gateway?: string }

const input = ({ subnet, rangeStart, rangeEnd, gateway }: Texts): RangeInput => ({
  subnet: subnet === undefined ? undefined : cidr(subnet),
  rangeStart: rangeStart === undefined ? undefined : addr(rangeStart),
  rangeEnd: rangeEnd === undefined ? undefined : addr(rangeEnd),
  gateway: gateway === undefined ? undefined : addr(gateway),
})

const set = (...ranges: Texts[]) => rangeSet(ranges.map(input), 0)

t.test('a range is completed from its subnet', async t => {
  const cases: [Texts, [start: string, end: string, gateway: string]][] = [
    [{ subnet: '10.1.2.0/24' }, ['10.1.2.1', '10.1.2.254', '10.1.2.1']],
    [{ subnet: '10.1.2.0/30' }, ['10.1.2.1', '10.1.2.2', '10.1.2.1']],
    [{ subnet: 'fd00::/64' }, ['fd00::1', 'fd00::ffff:ffff:ffff:ffff', 'fd00::1']], // IPv6 has no broadcast
    [
      { subnet: '10.1.2.0/24', rangeStart: '10.1.2.9', rangeEnd: '10.1.2.12' },
      ['10.1.2.9', '10.1.2.12', '10.1.2.1'],
    ],
    [{ subnet: '10.1.2.0/24', gateway: '10.1.2.254' }, ['10.1.2.1', '10.1.2.254', '10.1.2.254']],
    [{ subnet: '10.1.2.0/24', gateway: '192.0.2.1' }, ['10.1.2.1', '10.1.2.254', '192.0.2.1']],
    // The reference plugin gives out network and broadcast address on request.
    [
      { subnet: '10.1.2.0/24', rangeStart: '10.1.2.0', rangeEnd: '10.1.2.255' },
      ['10.1.2.0', '10.1.2.255', '10.1.2.1'],
    ],
  ]
  for (const [texts, expected] of cases) {
    const [{ start, end, gateway }] = set(texts).ranges
    t.same([start, end, gateway].map(formatAddr), expected, JSON.stringify(texts))
  }
})

t.test('a range set is refused in the words of the reference', async t => {
  const cases: [Texts[], string][] = [
    [[], 'empty range set'],
    [[{}], 'a range needs a "subnet"'],
    [[{ rangeStart: '10.1.2.3' }], 'a range needs a "subnet"'],
    [[{ subnet: '192.0.2.0/31' }], 'Network 192.0.2.0/31 too small to allocate from'],
    [[{ subnet: '192.0.2.1/32' }], 'Network 192.0.2.1/32 too small to allocate from'],
    [[{ subnet: 'fd00::/127' }], 'Network fd00::/127 too small to allocate from'],
    [
      [{ subnet: '192.0.2.12/24' }],
      'Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0',
    ],
    [
      [{ subnet: '192.168.127.0/23' }],
      'Network has host bits set. For a subnet mask of length 23 the network address is 192.168.126.0',
    ],
    [
      [{ subnet: '2001:db8:24:19ff::/63' }],
      'Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8:24:19fe::',
    ],
    [
      [{ subnet: '192.0.2.0/24', rangeStart: '192.0.3.0' }],
      'RangeStart 192.0.3.0 not in network 192.0.2.0/24',
    ],
    [[{ subnet: '192.0.2.0/24', rangeEnd: '192.0.4.0' }], 'RangeEnd 192.0.4.0 not in network 192.0.2.0/24'],
    [[{ subnet: '192.0.2.0/24', rangeEnd: '192.0.2.0' }], 'RangeEnd 192.0.2.0 not in network 192.0.2.0/24'],
    [
      [{ subnet: '192.0.2.0/24', rangeStart: '192.0.2.50', rangeEnd: '192.0.2.40' }],
      'RangeStart 192.0.2.50 not in network 192.0.2.0/24',
    ],
    [
      [{ subnet: '192.0.2.0/24', rangeStart: '192.0.2.5', rangeEnd: '192.0.1.9' }],
      'RangeStart 192.0.2.5 not in network 192.0.2.0/24',
    ],
    [
      [{ subnet: '192.0.2.0/24', rangeStart: '192.0.2.5', rangeEnd: 'fd00::9' }],
      'RangeEnd fd00::9 not in network 192.0.2.0/24',
    ],
    [[{ subnet: '192.0.2.0/24' }, { subnet: 'fd00::/64' }], 'mixed address families'],
    [
      [{ subnet: '10.1.0.0/22' }, { subnet: '10.1.2.0/24' }],
      'subnets 10.1.0.1-10.1.3.254 and 10.1.2.1-10.1.2.254 overlap',
    ],
  ]
  for (const [texts, message] of cases) {
    t.throws(
      () => rangeSet(texts.map(input), 3),
      { code: 7, message: `invalid range set 3: ${message}`, details: '' },
      message,
    )
  }
})

t.test('ranges of one subnet are no overlap as long as their addresses differ', async t => {
  const low = { subnet: '10.1.2.0/24', rangeEnd: '10.1.2.9' }
  const high = { subnet: '10.1.2.0/24', rangeStart: '10.1.2.10' }
  t.equal(formatRangeSet(set(low, high)), '10.1.2.1-10.1.2.9,10.1.2.10-10.1.2.254')
  t.notOk(setsOverlap(set(low), set(high)))
  t.ok(setsOverlap(set(low), set({ subnet: '10.1.0.0/16' })))
  t.notOk(setsOverlap(set(low), set({ subnet: 'fd00::/64' })))
})

t.test('rangeOf() finds the range of an address, by start and end and not by subnet', async t => {
  const two = set({ subnet: '10.1.2.0/24', rangeEnd: '10.1.2.9' }, { subnet: '10.1.3.0/24' })
  t.equal(rangeOf(two, addr('10.1.2.9')), two.ranges[0])
  t.equal(rangeOf(two, addr('10.1.3.254')), two.ranges[1])
  for (const text of ['10.1.2.10', '10.1.2.0', '10.1.3.255', 'fd00::1']) {
    t.equal(rangeOf(two, addr(text)), undefined, text)
  }
})

/** The candidates in their order, gateways and exclusions left out. */
const order = (ranges: Texts[], last?: string, excluded: string[] = []): string[] => {
  const found = candidates(
    set(...ranges),
    last ? addr(last) : undefined,
    excluded.map(text => parseSpan(text, 'exclude')),
  )
  return [...found].map(candidate => formatAddr(candidate.addr))
}

t.test('candidates() begins after the last one, goes round, and tries every address once', async t => {
  const small = { subnet: '10.1.2.0/29' } // .1 to .6, .1 the gateway
  const tail = { subnet: '10.1.3.0/29', rangeStart: '10.1.3.4', gateway: '10.1.3.5' }
  const cases: [string, string[], string[]][] = [
    ['from the start', order([small]), ['2', '3', '4', '5', '6']],
    ['after the last', order([small], '10.1.2.3'), ['4', '5', '6', '2', '3']],
    ['after the end', order([small], '10.1.2.6'), ['2', '3', '4', '5', '6']],
    ['after the gateway', order([small], '10.1.2.1'), ['2', '3', '4', '5', '6']],
    ['a last that is of no range', order([small], '10.9.9.9'), ['2', '3', '4', '5', '6']],
    ['a last of the other family', order([small], 'fd00::3'), ['2', '3', '4', '5', '6']],
    [
      'a gateway in the middle',
      order([{ ...small, gateway: '10.1.2.4' }], '10.1.2.3'),
      ['5', '6', '1', '2', '3'],
    ],
    [
      'a gateway at the end',
      order([{ ...small, gateway: '10.1.2.6' }], '10.1.2.4'),
      ['5', '1', '2', '3', '4'],
    ],
    ['a gateway elsewhere', order([{ ...small, gateway: '192.0.2.1' }]), ['1', '2', '3', '4', '5', '6']],
    ['exclusions', order([small], '10.1.2.3', ['10.1.2.2', '10.1.2.5-10.1.2.9']), ['4', '3']],
    ['overlapping exclusions', order([small], undefined, ['10.1.2.2/31', '10.1.2.3-10.1.2.5']), ['6']],
    ['everything excluded', order([small], undefined, ['10.0.0.0/8']), []],
  ]
  for (const [title, found, last] of cases) {
    t.same(
      found,
      last.map(byte => `10.1.2.${byte}`),
      title,
    )
  }
  t.same(
    order([small, tail], '10.1.2.4'),
    ['10.1.2.5', '10.1.2.6', '10.1.3.4', '10.1.3.6', '10.1.2.2', '10.1.2.3', '10.1.2.4'],
    'through the ranges of the set, from the middle of the first',
  )
  t.same(
    order([small, tail], '10.1.3.4'),
    ['10.1.3.6', '10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6', '10.1.3.4'],
    'from the middle of the last',
  )
})

t.test('candidates() skips half of an IPv6 network in one step', async t => {
  const found = candidates(set({ subnet: 'fd00::/64' }), undefined, [parseSpan('fd00::/65', 'exclude')])
  t.equal(formatAddr(found.next().value?.addr ?? addr('::')), 'fd00::8000:0:0:0')
})

t.test('candidates() names the range of each', async t => {
  const two = set({ subnet: '10.1.2.0/30' }, { subnet: '10.1.3.0/30' })
  t.same(
    [...candidates(two, undefined, [])].map(({ range }) => range),
    two.ranges,
  )
})

t.test('capacityOf() is how many candidates there are', async t => {
  const cases: [Texts[], string[], bigint][] = [
    [[{ subnet: '10.1.2.0/24' }], [], 253n],
    [[{ subnet: '10.1.2.0/30' }], [], 1n],
    [[{ subnet: '10.1.2.0/24', gateway: '192.0.2.1' }], [], 254n],
    [[{ subnet: '10.1.2.0/24' }, { subnet: '10.1.3.0/24', rangeStart: '10.1.3.250' }], [], 258n],
    // The gateway is in the first exclusion, and the two overlap.
    [[{ subnet: '10.1.2.0/24' }], ['10.1.2.0/28', '10.1.2.10-10.1.2.20'], 234n],
    [[{ subnet: '10.1.2.0/24' }], ['10.1.0.0/16'], 0n],
    [[{ subnet: 'fd00::/64' }], ['fd00::/65'], 1n << 63n],
    [[{ subnet: 'fd00::/64' }], [], (1n << 64n) - 2n],
  ]
  for (const [ranges, excluded, capacity] of cases) {
    t.equal(
      capacityOf(
        set(...ranges),
        excluded.map(text => parseSpan(text, 'exclude')),
      ),
      capacity,
      JSON.stringify([ranges, excluded]),
    )
    if (capacity < 1000n) t.equal(order(ranges, undefined, excluded).length, Number(capacity))
  }
})

t.test('isAllocatable() is true of the candidates alone', async t => {
  const small = set({ subnet: '10.1.2.0/29' })
  const excluded = [parseSpan('10.1.2.4', 'exclude')]
  for (const text of ['10.1.2.2', '10.1.2.6']) t.ok(isAllocatable(small, excluded, addr(text)), text)
  for (const text of ['10.1.2.1', '10.1.2.4', '10.1.2.7', '10.1.3.2']) {
    t.notOk(isAllocatable(small, excluded, addr(text)), text)
  }
})

t.test(
  'whatever the set, the last address and the exclusions: each candidate comes once, none is missing',
  async t => {
    const byte = fc.integer({ min: 0, max: 63 })
    const piece = fc.record({ offset: byte, length: byte, gateway: byte })
    const text = (third: number, last: number) => `10.1.${third}.${last}`
    const check = (
      pieces: { offset: number; length: number; gateway: number }[],
      last: number,
      spans: number[][],
    ) => {
      const ranges = pieces.map(({ offset, length, gateway }, i) => ({
        subnet: `${text(i, 0)}/26`,
        rangeStart: text(i, offset),
        rangeEnd: text(i, Math.min(63, offset + length)),
        gateway: text(i, gateway),
      }))
      const excluded = spans.map(([a = 0, b = 0]) => `${text(0, Math.min(a, b))}-${text(0, Math.max(a, b))}`)
      const found = order(ranges, text(last % 3, last), excluded)
      const one = set(...ranges)
      const all = pieces.flatMap((_, i) => Array.from({ length: 64 }, (__, j) => text(i, j)))
      const wanted = all.filter(address =>
        isAllocatable(
          one,
          excluded.map(text => parseSpan(text, 'exclude')),
          addr(address),
        ),
      )
      t.same([...found].sort(), wanted.sort(), JSON.stringify([ranges, last, excluded]))
      t.equal(
        capacityOf(
          one,
          excluded.map(text => parseSpan(text, 'exclude')),
        ),
        BigInt(found.length),
      )
    }
    fc.assert(
      fc.property(
        fc.array(piece, { minLength: 1, maxLength: 3 }),
        byte,
        fc.array(fc.tuple(byte, byte)),
        check,
      ),
      { numRuns: 100 },
    )
  },
)

t.test('parseSpan() reads addresses, networks and spans of both families', async t => {
  const cases = new Map([
    ['10.1.2.3', '10.1.2.3-10.1.2.3'],
    ['10.1.2.0/30', '10.1.2.0-10.1.2.3'],
    ['10.1.2.3/30', '10.1.2.0-10.1.2.3'], // the network the address is of
    ['10.1.2.3-10.1.2.9', '10.1.2.3-10.1.2.9'],
    ['10.1.2.3 - 10.1.2.9', '10.1.2.3-10.1.2.9'],
    ['fd00::/127', 'fd00::-fd00::1'],
    ['fd00::1-fd00::ff', 'fd00::1-fd00::ff'],
  ])
  for (const [text, span] of cases) t.equal(formatSpan(parseSpan(text, 'exclude')), span, text)
})

t.test('parseSpan() refuses everything else with code 7, naming it', async t => {
  for (const text of [
    '',
    '10.1.2',
    '10.1.2.9-10.1.2.3', // backwards
    '10.1.2.3-fd00::1',
    '10.1.2.3-',
    '10.1.2.3-10.1.2.4-10.1.2.5',
    '10.1.2.0/33',
  ]) {
    const message = `"exclude": ${JSON.stringify(text)} is no address, network or span "first-last"`
    t.throws(() => parseSpan(text, 'exclude'), { code: 7, message }, JSON.stringify(text))
  }
})

t.test('a span has both its ends and nothing of the other family', async t => {
  const span = parseSpan('10.1.2.3-10.1.2.5', 'exclude')
  for (const text of ['10.1.2.3', '10.1.2.4', '10.1.2.5']) t.ok(inSpan(span, addr(text)), text)
  for (const text of ['10.1.2.2', '10.1.2.6', '::a01:204']) t.notOk(inSpan(span, addr(text)), text)
  t.ok(spansOverlap(span, parseSpan('10.1.2.5-10.1.2.9', 'exclude')))
  t.ok(spansOverlap(parseSpan('10.0.0.0/8', 'exclude'), span))
  t.notOk(spansOverlap(span, parseSpan('10.1.2.6', 'exclude')))
  t.notOk(spansOverlap(span, parseSpan('::/0', 'exclude')))
})

t.test('countCovered() counts every address once, and only those inside', async t => {
  const whole = parseSpan('10.1.2.10-10.1.2.19', 'exclude')
  const cases: [string[], bigint][] = [
    [[], 0n],
    [['10.1.2.12'], 1n],
    [['10.1.2.12', '10.1.2.12'], 1n],
    [['10.1.2.12-10.1.2.15', '10.1.2.14-10.1.2.16'], 5n],
    [['10.1.2.0/24', '10.1.2.14'], 10n], // one inside the other, and over both ends
    [['10.1.2.15-10.1.2.16', '10.1.2.11-10.1.2.18'], 8n],
    [['10.1.2.0-10.1.2.10', '10.1.2.19-10.1.2.30'], 2n],
    [['10.1.3.0/24', 'fd00::/64'], 0n],
  ]
  for (const [texts, count] of cases)
    t.equal(
      countCovered(
        whole,
        texts.map(text => parseSpan(text, 'exclude')),
      ),
      count,
      texts.join(' '),
    )
})
