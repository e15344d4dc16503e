import t from 'tap'
import { parsePsched } from '../../../src/netlink/tc'
import { putU32 } from '../../../src/netlink/wire/message'
import {
  readTc,
  TC_H_INGRESS,
  TC_H_ROOT,
  TCA_STAB,
  tcActionBody,
  tcBody,
  tcHandle,
  tcPlace,
} from '../../../src/netlink/wire/tc'
import {
  actionKind,
  fifoOptions,
  readFifoLimit,
  readRedirect,
  readTbf,
  redirectOptions,
  type TbfOptions,
  tbfOptions,
} from '../../../src/netlink/wire/tc-options'

const hex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')

/** The options of a body of one kind: what stands behind tcmsg and TCA_KIND, without their own header. */
const optionsIn = (body: readonly Uint8Array[], kindLength: number): Buffer =>
  Buffer.concat(body).subarray(20 + kindLength + 4)

const tbf = (options: TbfOptions) =>
  optionsIn(tcBody({ index: 3, handle: tcHandle(1, 0), parent: TC_H_ROOT }, 'tbf', tbfOptions(options)), 8)

t.test('tcHandle() is what tc writes as major:minor', async t => {
  t.equal(tcHandle(1, 0), 0x00010000)
  t.equal(tcHandle(0xffff, 0), 0xffff0000)
  t.equal(tcHandle(1, 1), 65537)
})

t.test('tcBody() is struct tcmsg, TCA_KIND and TCA_OPTIONS', async t => {
  t.same(
    Buffer.concat(
      tcBody({ index: 5, handle: tcHandle(2, 0), parent: tcHandle(1, 1) }, 'bfifo', putU32(18125)),
    ),
    hex(
      '00 000000 05000000', // family, padding, ifindex
      '00000200 01000100 00000000', // handle 2:, parent 1:1, info
      '0a00 0100 626669666f00 0000', // length 10, TCA_KIND, "bfifo\0", padding
      '0800 0200 cd460000', // length 8, TCA_OPTIONS, 18125
    ),
  )
})

t.test('an ingress qdisc has no options', async t => {
  // strace of `tc qdisc add dev v0 handle ffff: ingress`
  t.same(
    Buffer.concat(
      tcBody({ index: 3, handle: tcHandle(0xffff, 0), parent: TC_H_INGRESS }, 'ingress', undefined),
    ),
    hex('00000000 03000000', '0000ffff f1ffffff 00000000', '0c00 0100 696e677265737300'),
  )
})

t.test('tbfOptions() says what the reference says: 8 Mbit/s, 80000 bits', async t => {
  // strace of the Go plugin 1.1.1: {"ingressRate": 8000000, "ingressBurst": 80000}
  t.same(
    tbf({ rateBytes: 1_000_000, limitBytes: 35_000, bufferTicks: 156_250 }),
    hex(
      '2800 0100', // length 40, TCA_TBF_PARMS
      '00 00 0000 0000 0000 40420f00', // tc_ratespec: rate 1000000
      '00 00 0000 0000 0000 00000000', // peakrate
      'b8880000 5a620200 00000000', // limit 35000, buffer 156250, mtu
    ),
  )
})

t.test('tbfOptions() gives rates beyond 32 bits in 64, bursts in bytes', async t => {
  t.same(
    tbf({
      rateBytes: 10_000_000_000,
      limitBytes: 35_000,
      bufferTicks: 1562,
      burstBytes: 1_000_000,
      peak: { rateBytes: 10_125_000_000, burstBytes: 15_000 },
    }),
    hex(
      '2800 0100',
      '00 00 0000 0000 0000 ffffffff',
      '00 00 0000 0000 0000 ffffffff',
      'b8880000 1a060000 00000000',
      '0c00 0400 00e40b5402000000', // TCA_TBF_RATE64
      '0c00 0500 403d7f5b02000000', // TCA_TBF_PRATE64
      '0800 0600 40420f00', // TCA_TBF_BURST
      '0800 0700 983a0000', // TCA_TBF_PBURST
    ),
  )
})

t.test('readTbf() reads what the kernel shows', async t => {
  // strace of `tc qdisc show`: rate 80gbit burst 1000000 limit 35000 peakrate 81gbit minburst 15000
  const shown = hex(
    '2800 0100',
    '00 01 0000 0000 0000 ffffffff',
    '00 01 0000 0000 0000 ffffffff',
    'b8880000 1a060000 17000000',
    '0c00 0400 00e40b5402000000',
    '0c00 0500 403d7f5b02000000',
  )
  t.same(readTbf(shown), {
    rateBytes: 10_000_000_000,
    limitBytes: 35_000,
    bufferTicks: 1562,
    peakRateBytes: 10_125_000_000,
    peakBufferTicks: 23,
  })
  const slow = tbf({ rateBytes: 1, limitBytes: 1, bufferTicks: 15_625_000 })
  t.match(readTbf(slow), { rateBytes: 1, limitBytes: 1, bufferTicks: 15_625_000, peakRateBytes: 0 })
  t.equal(readTbf(hex('0c00 0400 00e40b5402000000')), undefined, 'no parameters')
  t.equal(readTbf(hex('0800 0100 00000000')), undefined, 'parameters too short')
})

t.test('a bfifo’s options are its limit, bare', async t => {
  t.same(fifoOptions(18_125), hex('cd460000'))
  t.equal(readFifoLimit(hex('cd460000')), 18_125)
})

const u32Selector = [
  '2400 0500', // length 36, TCA_U32_SEL
  '01 00 01 00 0000 0000 0000', // terminal, one key
  '0000 00000000',
  '00000000 00000000 00000000 00000000', // the key: mask 0, value 0
]

t.test('redirectOptions() matches all and redirects to the interface', async t => {
  // strace of the Go plugin 1.1.1 without the second of its two actions, which is never reached
  t.same(
    optionsIn(
      tcBody({ index: 4, parent: tcHandle(0xffff, 0) }, 'u32', redirectOptions(3, tcHandle(1, 1))),
      8,
    ),
    hex(
      ...u32Selector,
      '0800 0100 01000100', // TCA_U32_CLASSID 1:1
      '3800 0700', // TCA_U32_ACT
      '3400 0100', // the first action
      '0b00 0100 6d697272656400 00', // TCA_ACT_KIND "mirred"
      '2400 0200', // TCA_ACT_OPTIONS
      '2000 0200', // TCA_MIRRED_PARMS
      '00000000 00000000 04000000', // index, capab, TC_ACT_STOLEN
      '00000000 00000000', // refcnt, bindcnt
      '01000000 03000000', // TCA_EGRESS_REDIR, ifindex 3
    ),
  )
})

/** The options of a u32 filter as the kernel shows them, with flags, statistics and all; strace of `tc filter show`. */
const shownFilter = (selector: string, mirred: string) =>
  hex(
    '2400 0500 0100010000000000 0000000000000000',
    selector,
    '0800 0200 00000080 0800 0100 01000100 0800 0b00 08000000',
    'a800 0700 a400 0100 0b00 0100 6d697272656400 00',
    '4400 0400 1400 0100 00000000000000000000000000000000 1400 0700 00000000000000000000000000000000',
    '1800 0300 0000000000000000000000000000000000000000 0800 0a00 00000000',
    '4800 0200 2000 0200 01000000 00000000 04000000 01000000 01000000',
    mirred,
    '2400 0100 0a00000000000000 0a00000000000000 0000000000000000 0000000000000000',
  )

const anything = '00000000 00000000 00000000 00000000'

t.test('readRedirect() finds where a filter of the kernel’s leads', async t => {
  t.equal(readRedirect(shownFilter(anything, '01000000 04000000')), 4)
  t.equal(readRedirect(shownFilter(anything, '01000000 00000000')), 0, 'the target is gone')
  t.equal(readRedirect(shownFilter(anything, '02000000 04000000')), undefined, 'it mirrors')
  t.equal(readRedirect(shownFilter(anything, '03000000 04000000')), undefined, 'to ingress')
  t.equal(
    readRedirect(shownFilter('ffff0000 08000000 00000000 00000000', '01000000 04000000')),
    undefined,
    'it does not match everything',
  )
  t.equal(readRedirect(hex('0800 0400 01000000')), undefined, 'a hash table')
})

t.test('readTc() reads a qdisc', async t => {
  const body = Buffer.concat(
    tcBody({ index: 5, handle: tcHandle(1, 0), parent: TC_H_ROOT }, 'tbf', putU32(7)),
  )
  t.same(readTc(body), {
    index: 5,
    handle: 0x10000,
    parent: 0xffffffff,
    info: 0,
    chain: 0,
    kind: 'tbf',
    options: hex('07000000'),
  })
})

t.test('a place is struct tcmsg alone', async t => {
  t.same(
    Buffer.concat(tcPlace({ index: 2, parent: TC_H_ROOT })),
    hex('00000000 02000000 00000000 ffffffff 00000000'),
  )
})

t.test(
  'the faults of a probe are a size table without its base, and an action without its parameters',
  async t => {
    t.same(
      Buffer.concat(tcBody({ index: 1, parent: TC_H_ROOT }, 'tbf', undefined, [[TCA_STAB, []]])),
      hex('00000000 01000000 00000000 ffffffff 00000000', '0800 0100 74626600', '0400 0800'),
    )
    t.same(
      Buffer.concat(tcActionBody([[1, [actionKind('mirred')]]])),
      hex('00000000', '1300 0100', '0f00 0100', '0b00 0100 6d697272656400'),
    )
  },
)

t.test('parsePsched() finds 15.625 ticks of 64 ns in a microsecond', async t => {
  t.equal(parsePsched('000003e8 00000040 000f4240 3b9aca00\n'), 15.625)
})

t.test('parsePsched() goes by each of the numbers', async t => {
  t.equal(parsePsched('000003e8 00000400 000f4240 3b9aca00\n'), 0.9765625, 'ticks of 1024 ns, before 2.6.31')
  t.equal(parsePsched('000003e8 00000040 001e8480 3b9aca00\n'), 31.25, 'a clock twice as fast')
})

t.test('parsePsched() answers nothing to anything else', async t => {
  for (const text of ['', 'psched', '000003e8', '000003e8 00000000 000f4240 0', '0 0 0 0']) {
    t.equal(parsePsched(text), undefined, JSON.stringify(text))
  }
})
