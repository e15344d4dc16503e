/** TCA_OPTIONS: of the qdiscs tbf and bfifo, and of a u32 filter with the action mirred. */
import {
  type Attribute,
  putU32,
  putU64,
  readAttributeList,
  readAttributes,
  readIndexAt,
  readNumber,
  readText,
} from './message'

/** <linux/pkt_sched.h> */
const TCA_TBF_PARMS = 1
const TCA_TBF_RATE64 = 4
const TCA_TBF_PRATE64 = 5
const TCA_TBF_BURST = 6
const TCA_TBF_PBURST = 7

// <linux/pkt_sched.h>                             offset
// struct tc_ratespec {
//   unsigned char cell_log; __u8 linklayer;       0, 1
//   unsigned short overhead;                      2
//   short cell_align; unsigned short mpu;         4, 6
//   __u32 rate;                                   8
// };                                              12 bytes
// struct tc_tbf_qopt {
//   struct tc_ratespec rate;                      0
//   struct tc_ratespec peakrate;                  12
//   __u32 limit;                                  24
//   __u32 buffer, mtu;                            28, 32
// };                                              36 bytes
const offsetOf = { rate: 8, peakRate: 20, limit: 24, buffer: 28, mtu: 32 }
const SIZEOF_TC_TBF_QOPT = 36

const maxU32 = 0xffffffff

/** A token bucket filter as it is set. Rates are bytes per second and may exceed 32 bits. */
export type TbfOptions = {
  readonly rateBytes: number
  /** How many bytes may wait. */
  readonly limitBytes: number
  /** The bucket's depth, as the time it lasts at the rate, in psched ticks. */
  readonly bufferTicks: number
  /** The same in bytes; it wins over the ticks, which end at 275 s. */
  readonly burstBytes?: number | undefined
  /** A second, smaller bucket with a higher rate: the kernel refuses one that is not higher. */
  readonly peak?: { readonly rateBytes: number; readonly burstBytes: number } | undefined
}

const low32 = (rate: number): number => Math.min(rate, maxU32)

const rate64 = (type: number, rate: number | undefined): Attribute => [
  type,
  rate !== undefined && rate > maxU32 ? putU64(BigInt(rate)) : undefined,
]

const burst = (type: number, bytes: number | undefined): Attribute => [
  type,
  bytes === undefined ? undefined : putU32(bytes),
]

/** TCA_OPTIONS of a tbf qdisc. */
export const tbfOptions = (tbf: TbfOptions): Attribute[] => {
  const parms = Buffer.alloc(SIZEOF_TC_TBF_QOPT)
  parms.writeUInt32LE(low32(tbf.rateBytes), offsetOf.rate)
  parms.writeUInt32LE(low32(tbf.peak?.rateBytes ?? 0), offsetOf.peakRate)
  parms.writeUInt32LE(tbf.limitBytes, offsetOf.limit)
  parms.writeUInt32LE(tbf.bufferTicks, offsetOf.buffer)
  return [
    [TCA_TBF_PARMS, parms],
    rate64(TCA_TBF_RATE64, tbf.rateBytes),
    rate64(TCA_TBF_PRATE64, tbf.peak?.rateBytes),
    burst(TCA_TBF_BURST, tbf.burstBytes),
    burst(TCA_TBF_PBURST, tbf.peak?.burstBytes),
  ]
}

/** A token bucket filter as the kernel shows it: bucket depths only in ticks, of which it keeps the low 32 bits. */
export type Tbf = {
  readonly rateBytes: number
  readonly limitBytes: number
  readonly bufferTicks: number
  /** 0: it has no second bucket. */
  readonly peakRateBytes: number
  readonly peakBufferTicks: number
}

/** Reads the TCA_OPTIONS of a tbf qdisc; undefined if they are none. Rates above 2^53 are rounded. */
export const readTbf = (options: Buffer): Tbf | undefined => {
  const attributes = readAttributes(options)
  const parms = attributes.get(TCA_TBF_PARMS)
  if (!parms || parms.length < SIZEOF_TC_TBF_QOPT) return undefined
  const rate = (type: number, offset: number): number => {
    const wide = attributes.get(type)
    return wide?.length === 8 ? Number(wide.readBigUInt64LE(0)) : parms.readUInt32LE(offset)
  }
  return {
    rateBytes: rate(TCA_TBF_RATE64, offsetOf.rate),
    limitBytes: parms.readUInt32LE(offsetOf.limit),
    bufferTicks: parms.readUInt32LE(offsetOf.buffer),
    peakRateBytes: rate(TCA_TBF_PRATE64, offsetOf.peakRate),
    peakBufferTicks: parms.readUInt32LE(offsetOf.mtu),
  }
}

// <linux/pkt_sched.h>                             offset
// struct tc_fifo_qopt {
//   __u32 limit;                                  0
// };                                              4 bytes

/** TCA_OPTIONS of a bfifo qdisc: how many bytes may wait. */
export const fifoOptions = (limitBytes: number): Buffer => putU32(limitBytes)

/** Reads the TCA_OPTIONS of a bfifo qdisc; undefined if they are none. */
export const readFifoLimit = (options: Buffer): number | undefined => readNumber(options)

/** <linux/pkt_sched.h> */
const TCA_HTB_INIT = 2
// struct tc_htb_glob {                            offset
//   __u32 version, rate2quantum;                  0, 4
//   __u32 defcls;                                 8
//   __u32 debug, direct_pkts;                     12, 16
// };                                              20 bytes
const SIZEOF_TC_HTB_GLOB = 20

/** The minor number of the class that an htb qdisc puts other traffic into, by its TCA_OPTIONS; undefined if they are none. */
export const readHtbDefault = (options: Buffer): number | undefined => {
  const glob = readAttributes(options).get(TCA_HTB_INIT)
  return glob && glob.length >= SIZEOF_TC_HTB_GLOB ? glob.readUInt32LE(8) : undefined
}

/** <linux/pkt_cls.h> */
const TCA_U32_CLASSID = 1
const TCA_U32_SEL = 5
const TCA_U32_ACT = 7
const TC_U32_TERMINAL = 1
const TCA_ACT_KIND = 1
const TCA_ACT_OPTIONS = 2
const TC_ACT_STOLEN = 4
/** <linux/tc_act/tc_mirred.h> */
const TCA_MIRRED_PARMS = 2
const TCA_EGRESS_REDIR = 1

// <linux/pkt_cls.h>                               offset
// struct tc_u32_sel {
//   unsigned char flags, offshift, nkeys;         0, 1, 2
//   __be16 offmask; __u16 off; short offoff;      4, 6, 8
//   short hoff; __be32 hmask;                     10, 12
//   struct tc_u32_key keys[];                     16
// };
// struct tc_u32_key {
//   __be32 mask, val; int off, offmask;           0, 4, 8, 12
// };                                              16 bytes
const SIZEOF_TC_U32_SEL = 16
const SIZEOF_TC_U32_KEY = 16

/** One key whose mask is 0: every packet has it. */
const matchAll = (): Buffer => {
  const selector = Buffer.alloc(SIZEOF_TC_U32_SEL + SIZEOF_TC_U32_KEY)
  selector[0] = TC_U32_TERMINAL
  selector[2] = 1
  return selector
}

const matchesAll = (selector: Buffer): boolean => {
  const keys = selector[2] ?? 0
  if (selector.length < SIZEOF_TC_U32_SEL + keys * SIZEOF_TC_U32_KEY) return false
  for (let i = 0; i < keys; i++) {
    if (selector.readUInt32BE(SIZEOF_TC_U32_SEL + i * SIZEOF_TC_U32_KEY) !== 0) return false
  }
  return true
}

// <linux/tc_act/tc_mirred.h>                      offset
// struct tc_mirred {
//   __u32 index, capab; int action;               0, 4, 8
//   int refcnt, bindcnt;                          12, 16
//   int eaction; __u32 ifindex;                   20, 24
// };                                              28 bytes
const SIZEOF_TC_MIRRED = 28

const mirred = (targetIndex: number): Buffer => {
  const parms = Buffer.alloc(SIZEOF_TC_MIRRED)
  parms.writeInt32LE(TC_ACT_STOLEN, 8)
  parms.writeInt32LE(TCA_EGRESS_REDIR, 20)
  parms.writeUInt32LE(targetIndex, 24)
  return parms
}

/** The kind of an action, by which the kernel finds its module. */
export const actionKind = (kind: string): Attribute => [TCA_ACT_KIND, Buffer.from(`${kind}\0`)]

/** TCA_OPTIONS of a u32 filter that sends every packet to another interface instead. */
export const redirectOptions = (targetIndex: number, classID: number): Attribute[] => [
  [TCA_U32_SEL, matchAll()],
  [TCA_U32_CLASSID, putU32(classID)],
  [TCA_U32_ACT, [[1, [actionKind('mirred'), [TCA_ACT_OPTIONS, [[TCA_MIRRED_PARMS, mirred(targetIndex)]]]]]]],
]

/**
 * The ifindex to which a u32 filter redirects every packet, read from its TCA_OPTIONS; 0 if that interface is gone.
 * Undefined for a filter that does anything else first, or does not match every packet.
 */
export const readRedirect = (options: Buffer): number | undefined => {
  const attributes = readAttributes(options)
  const selector = attributes.get(TCA_U32_SEL)
  const actions = attributes.get(TCA_U32_ACT)
  const first = actions && readAttributeList(actions)[0]?.value
  if (!selector || !matchesAll(selector) || !first) return undefined
  const action = readAttributes(first)
  const details = action.get(TCA_ACT_OPTIONS)
  if (readText(action.get(TCA_ACT_KIND)) !== 'mirred' || !details) return undefined
  const parms = readAttributes(details).get(TCA_MIRRED_PARMS)
  if (!parms || parms.length < SIZEOF_TC_MIRRED) return undefined
  return parms.readInt32LE(20) === TCA_EGRESS_REDIR ? readIndexAt(parms, 24) : undefined
}
