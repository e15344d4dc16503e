/**
 * From a configured limit to the numbers of the kernel's token bucket filter. They are the reference's wherever it
 * computes right, so that its CHECK passes on what is set here. It computes in 32 bits: a bucket that lasts longer
 * than 275 s overflows, one that lasts less than a microsecond vanishes.
 */
import { CniError, ErrorCode } from '../../src/cni/error'
import { readTicksPerUsec, type Tbf, type TbfOptions } from '../../src/netlink/tc'
import type { RateLimit } from './config'

const maxU32 = 0xffffffff
const usecPerSec = 1e6

/** How long a full queue may hold a packet, beyond what the burst takes: the reference's number. */
const latencyUsec = 25_000

/**
 * The bursts that stand for "none given": Kubernetes has annotations for rates only, and its runtimes fill in the
 * largest 32-bit number there is. Taken at its word, it would let the first 512 MB through at any rate.
 */
const unsetBursts: readonly number[] = [0xffffffff, 0x7fffffff]

/**
 * The substitute: what the rate gives in this time, but not less than a dozen Ethernet frames. A TCP stream that loses
 * a round of packets is silent for 200 ms; a bucket much smaller would not make up for it.
 */
const defaultBurst = { usec: 100_000, leastBytes: 20_000 }

/** <linux/if_ether.h> */
const ETH_HLEN = 14

/** The longest packet of an interface, as a tbf counts it. */
export const frameBytes = (mtu: number): number => mtu + ETH_HLEN

/** A bucket in the kernel's numbers. */
export type TokenBucket = {
  /** Bytes a second. */
  readonly rateBytes: number
  readonly burstBytes: number
  /** How many bytes may wait. */
  readonly limitBytes: number
  /** How long the burst lasts at the rate, in psched ticks, as the reference computes it. */
  readonly bufferTicks: number
  /** The ticks are wrong or too coarse: the burst is to be set in bytes. */
  readonly byBytes: boolean
  /** The effective bucket if the configured burst stands for "none given". */
  readonly effective: { readonly burstBytes: number; readonly limitBytes: number } | undefined
}

type ToU32 = (value: number) => number

/** How Go turns a float that is too large into a uint32 on amd64: the low 32 bits. */
const wrap: ToU32 = value => value % (maxU32 + 1)

/** And on arm64: the largest there is. */
const saturate: ToU32 = value => Math.min(value, maxU32)

const goToU32: ToU32 = process.arch === 'arm64' ? saturate : wrap

type Flow = { readonly rateBytes: number; readonly burstBytes: number }

/** How long a burst lasts at its rate, in ticks: the reference's steps, each rounded down and cut by `toU32`. */
const ticksOf = ({ rateBytes, burstBytes }: Flow, ticksPerUsec: number, toU32: ToU32): number => {
  const usec = toU32(Math.floor((burstBytes * usecPerSec) / rateBytes))
  return toU32(Math.floor(usec * ticksPerUsec))
}

/** How many bytes may wait: what comes in `latencyUsec`, and the burst. */
const limitOf = ({ rateBytes, burstBytes }: Flow): number =>
  Math.floor((rateBytes * latencyUsec) / usecPerSec) + burstBytes

/** How many bytes a burst is to have that was not really given. */
const effectiveBurst = (rateBytes: number, frame: number): number =>
  Math.max(Math.floor((rateBytes * defaultBurst.usec) / usecPerSec), defaultBurst.leastBytes, frame)

/**
 * The bucket for one direction of an interface with this MTU. Throws code 7 where rate or burst is less than a byte:
 * the kernel has no such bucket.
 */
export const tokenBucket = (
  { rateBits, burstBits }: RateLimit,
  mtu: number,
  ticksPerUsec: number = readTicksPerUsec(),
): TokenBucket => {
  const flow = { rateBytes: Math.floor(rateBits / 8), burstBytes: Math.floor(burstBits / 8) }
  const { rateBytes, burstBytes } = flow
  if (rateBytes === 0 || burstBytes === 0) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `a rate of ${rateBits} bits a second with a burst of ${burstBits} bits is less than one byte`,
    )
  }
  const frame = frameBytes(mtu)
  const effective = unsetBursts.includes(burstBits) ? effectiveBurst(rateBytes, frame) : burstBytes
  const substituted = effective < burstBytes
  const bufferTicks = ticksOf(flow, ticksPerUsec, goToU32)
  const heldBytes = Math.floor((rateBytes * bufferTicks) / (ticksPerUsec * usecPerSec))
  const overflown = ticksOf(flow, ticksPerUsec, value => value) > maxU32
  // The bucket must hold at least a frame if the burst does; below that, a byte is what the kernel asks for. With a
  // second bucket that is the one that counts, an overflown first one does no harm if it is the larger.
  const leastBytes = substituted ? effective : burstBytes >= frame ? frame : 1
  return {
    ...flow,
    limitBytes: saturate(limitOf(flow)),
    bufferTicks,
    byBytes: heldBytes < leastBytes || (overflown && !substituted),
    effective: substituted
      ? { burstBytes: effective, limitBytes: saturate(limitOf({ rateBytes, burstBytes: effective })) }
      : undefined,
  }
}

/**
 * The bucket as it is set. Where the configured burst is not what counts, the first bucket and the limit are the
 * reference's all the same, so that its CHECK finds what it would have set, and a second bucket does the work: its
 * rate is a byte a second above, since the kernel wants it higher.
 */
export const tbfOptionsOf = (bucket: TokenBucket): TbfOptions => ({
  rateBytes: bucket.rateBytes,
  limitBytes: bucket.limitBytes,
  bufferTicks: bucket.bufferTicks,
  burstBytes: bucket.byBytes ? bucket.burstBytes : undefined,
  peak: bucket.effective && {
    rateBytes: bucket.rateBytes + 1,
    burstBytes: bucket.effective.burstBytes,
  },
})

/**
 * Is `shown` the bucket of `burstBytes`, filled at `rateBytes`, that was set in bytes? The kernel then shows the low
 * 32 bits of its ticks, which it computes with a factor of at least 29 bits.
 */
const isTicksOf = (shown: number, { rateBytes, burstBytes }: Flow, ticksPerUsec: number): boolean => {
  const ticks = (burstBytes / rateBytes) * usecPerSec * ticksPerUsec
  const distance = Math.abs(shown - wrap(ticks))
  return Math.min(distance, maxU32 + 1 - distance) <= 2 + ticks * 2 ** -29
}

/**
 * The faults of a kernel's bucket, in words; nothing if all is. Both what `tbfOptionsOf` sets and what the reference
 * sets, on whichever machine, is right.
 */
export const bucketFaults = (
  shown: Tbf,
  expected: TokenBucket,
  ticksPerUsec: number = readTicksPerUsec(),
): string[] => {
  const { rateBytes, effective } = expected
  const faults: string[] = []
  if (shown.rateBytes !== rateBytes) faults.push(`the rate is ${shown.rateBytes} bytes/s, not ${rateBytes}`)
  const limits = [wrap(limitOf(expected)), saturate(limitOf(expected))]
  if (!limits.includes(shown.limitBytes)) {
    faults.push(`the limit is ${shown.limitBytes} bytes, not ${expected.limitBytes}`)
  }
  const ticks = [ticksOf(expected, ticksPerUsec, wrap), ticksOf(expected, ticksPerUsec, saturate)]
  if (!ticks.includes(shown.bufferTicks) && !isTicksOf(shown.bufferTicks, expected, ticksPerUsec)) {
    faults.push(`the burst lasts ${shown.bufferTicks} ticks, not ${expected.bufferTicks}`)
  }
  // The reference sets no second bucket.
  if (shown.peakRateBytes === 0) return faults
  const second = { rateBytes: rateBytes + 1, burstBytes: effective?.burstBytes ?? 0 }
  if (!effective || shown.peakRateBytes !== second.rateBytes) {
    faults.push(`there is a peak rate of ${shown.peakRateBytes} bytes/s`)
  } else if (!isTicksOf(shown.peakBufferTicks, second, ticksPerUsec)) {
    faults.push(`the burst at the peak rate is not ${second.burstBytes} bytes`)
  }
  return faults
}
