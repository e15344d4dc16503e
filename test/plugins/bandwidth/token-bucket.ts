import t from 'tap'
import { bucketFaults, tbfOptionsOf, tokenBucket } from '../../../plugins/bandwidth/token-bucket'
import type { Tbf } from '../../../src/netlink/tc'

const ticksPerUsec = 15.625
const bucket = (rateBits: number, burstBits: number, mtu = 1500) =>
  tokenBucket({ rateBits, burstBits }, mtu, ticksPerUsec)

/** What the Go plugin 1.1.1 sets: rate, limit, buffer, as `strace` and `tc -s qdisc show` told. */
const reference: [bits: [number, number], numbers: [number, number, number]][] = [
  [
    [8, 8],
    [1, 1, 15_625_000],
  ],
  [
    [8000, 80],
    [1000, 35, 156_250],
  ],
  [
    [8_000_000, 80_000],
    [1_000_000, 35_000, 156_250],
  ],
  [
    [16_000_000, 160_000],
    [2_000_000, 70_000, 156_250],
  ],
  // 1234 bytes at 12345 bytes/s are 99959.49 µs: microseconds first, then ticks, both rounded down.
  [
    [98_765, 9_876],
    [12_345, 1_542, 1_561_859],
  ],
  [
    [10_000_000_000, 80_000_000],
    [1_250_000_000, 41_250_000, 125_000],
  ],
  // Above 2^32 bytes/s.
  [
    [80_000_000_000, 8_000_000],
    [10_000_000_000, 251_000_000, 1562],
  ],
]

for (const [[rate, burst], [rateBytes, limitBytes, bufferTicks]] of reference) {
  t.test(`tokenBucket() of ${rate} bit/s and ${burst} bits is the reference’s`, async t => {
    const made = bucket(rate, burst)
    t.match(made, { rateBytes, limitBytes, bufferTicks, byBytes: false, effective: undefined })
    t.same(tbfOptionsOf(made), {
      rateBytes,
      limitBytes,
      bufferTicks,
      burstBytes: undefined,
      peak: undefined,
    })
  })
}

/** Where the reference's 32 bits are not enough, or its microseconds too coarse. */
const byBytes: [bits: [number, number], burstBytes: number, why: string][] = [
  [[8, 800_000], 100_000, 'lasts 100,000 s, ticks end at 275 s'],
  [[1_000_000, 34_359_738_352], 4_294_967_294, 'lasts 34,360 s'],
  [[100_000_000, 80], 10, 'lasts 0.8 µs'],
  [[1_250_000, 8], 1, 'lasts 6.4 µs, of which 6 are less than a byte'],
  [[10_000_000, 12_112], 1514, 'one frame, which 1211 of 1211.2 µs would cut'],
]

for (const [[rate, burst], burstBytes, why] of byBytes) {
  t.test(`tokenBucket() of ${rate} bit/s and ${burst} bits is set in bytes: ${why}`, async t => {
    t.match(bucket(rate, burst), { byBytes: true, effective: undefined })
    t.match(tbfOptionsOf(bucket(rate, burst)), { burstBytes, peak: undefined })
  })
}

t.test(
  'a limit that 32 bits cannot hold is the largest they can, where the reference’s is a few bytes',
  async t => {
    t.equal(bucket(1_000_000, 34_359_738_352).limitBytes, 0xffffffff)
    t.equal(bucket(2 ** 53, 80_000).limitBytes, 0xffffffff)
  },
)

const unset = [0xffffffff, 0x7fffffff]

for (const burst of unset) {
  t.test(`a burst of ${burst} bits stands for none: 100 ms at the rate, at least 20,000 bytes`, async t => {
    const effective = (rate: number, mtu?: number) => bucket(rate, burst, mtu).effective?.burstBytes
    t.equal(effective(1_000_000), 20_000)
    t.equal(effective(1_600_000), 20_000)
    t.equal(effective(10_000_000), 125_000)
    t.equal(effective(1_000_000_000), 12_500_000)
    t.equal(effective(1_000_000, 9000), 20_000)
    t.equal(effective(1_000_000, 65_535), 65_549, 'and at least one frame of the interface')
    t.equal(effective(100_000_000_000), undefined, 'where it is less than 100 ms, it is taken as it is')
    t.equal(bucket(1_000_000, burst - 1).effective, undefined, 'any other burst is meant')
  })
}

t.test(
  'with it, the first bucket and the limit are the reference’s, a second bucket does the work',
  async t => {
    t.same(tbfOptionsOf(bucket(10_000_000, 0x7fffffff)), {
      rateBytes: 1_250_000,
      limitBytes: 31_250 + 268_435_455,
      bufferTicks: 3_355_443_187,
      burstBytes: undefined,
      peak: { rateBytes: 1_250_001, burstBytes: 125_000 },
    })
    t.equal(bucket(10_000_000, 0x7fffffff).effective?.limitBytes, 31_250 + 125_000)
  },
)

t.test('with it, a first bucket that overflowed is kept as long as it is the larger one', async t => {
  const wrapped = bucket(1_000_000, 0xffffffff)
  t.match(wrapped, { byBytes: false })
  // 4,294,967,288 µs are 67,108,863,875 ticks, of which Go on amd64 keeps 32 bits, on arm64 the maximum.
  t.equal(wrapped.bufferTicks, process.arch === 'arm64' ? 0xffffffff : 2_684_354_435)
  t.match(tbfOptionsOf(bucket(80, 0xffffffff)), { burstBytes: 536_870_911, peak: { burstBytes: 20_000 } })
})

t.test('less than a byte is refused with code 7', async t => {
  for (const [rate, burst] of [
    [7, 8],
    [8, 7],
  ] as const) {
    t.throws(() => bucket(rate, burst), { code: 7, message: /less than one byte/ })
  }
})

const shown = (over: Partial<Tbf> = {}): Tbf => ({
  rateBytes: 1_000_000,
  limitBytes: 35_000,
  bufferTicks: 156_250,
  peakRateBytes: 0,
  peakBufferTicks: 0,
  ...over,
})

t.test('bucketFaults() names every number that is not as configured', async t => {
  const faults = (over?: Partial<Tbf>) => bucketFaults(shown(over), bucket(8_000_000, 80_000), ticksPerUsec)
  t.same(faults(), [])
  t.same(faults({ rateBytes: 125_000 }), ['the rate is 125000 bytes/s, not 1000000'])
  t.same(faults({ limitBytes: 35_001 }), ['the limit is 35001 bytes, not 35000'])
  t.same(faults({ bufferTicks: 156_260 }), ['the burst lasts 156260 ticks, not 156250'])
  t.same(faults({ peakRateBytes: 2_000_000 }), ['there is a peak rate of 2000000 bytes/s'])
  t.equal(faults({ rateBytes: 1, limitBytes: 1, bufferTicks: 1 }).length, 3)
})

t.test('bucketFaults() takes what Go sets where it overflows, on either architecture', async t => {
  const expected = bucket(1_000_000, 0xffffffff)
  const faults = (over: Partial<Tbf>) =>
    bucketFaults(shown({ rateBytes: 125_000, limitBytes: 536_874_036, ...over }), expected, ticksPerUsec)
  t.same(faults({ bufferTicks: 2_684_354_435 }), [])
  t.same(faults({ bufferTicks: 0xffffffff }), [])
  t.same(faults({ bufferTicks: 1000 }), [`the burst lasts 1000 ticks, not ${expected.bufferTicks}`])
  t.same(
    bucketFaults(
      shown({ rateBytes: 125_000, limitBytes: 3123, bufferTicks: 2_684_354_310 }),
      bucket(1_000_000, 34_359_738_352),
      ticksPerUsec,
    ),
    [],
    'its limit of rate and burst modulo 2^32, too',
  )
})

t.test('bucketFaults() takes the low 32 bits that the kernel shows of a bucket set in bytes', async t => {
  // 100,000 bytes at 1 byte/s: 1.5625e12 ticks. tc: "burst 219b".
  const expected = bucket(8, 800_000)
  const faults = (bufferTicks: number) =>
    bucketFaults(shown({ rateBytes: 1, limitBytes: 100_000, bufferTicks }), expected, ticksPerUsec)
  t.same(faults(1_562_500_000_000 % 2 ** 32), [])
  t.equal(faults(5_000_000).length, 1)
})

t.test('bucketFaults() looks at the second bucket where there is one', async t => {
  const expected = bucket(10_000_000, 0x7fffffff)
  const first = { rateBytes: 1_250_000, limitBytes: 268_466_705, bufferTicks: 3_355_443_187 }
  const faults = (over: Partial<Tbf>) => bucketFaults(shown({ ...first, ...over }), expected, ticksPerUsec)
  t.same(faults({}), [], 'the reference sets none')
  t.same(faults({ peakRateBytes: 1_250_001, peakBufferTicks: 1_562_498 }), [])
  t.same(faults({ peakRateBytes: 2_500_000, peakBufferTicks: 1_562_498 }), [
    'there is a peak rate of 2500000 bytes/s',
  ])
  t.same(faults({ peakRateBytes: 1_250_001, peakBufferTicks: 99 }), [
    'the burst at the peak rate is not 125000 bytes',
  ])
})
