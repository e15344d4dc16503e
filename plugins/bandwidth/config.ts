import * as v from 'valibot'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, isRemoval, prevResultOf } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { integer, parseBySchema } from '../../src/cni/schema'

/** The kernel's rates have 64 bits. JSON's numbers are exact up to 2^53; above, the nearest one is taken. */
const mostBits = 2 ** 64

/** A burst of this many bytes or more is refused: the kernel's have 32 bits. */
const burstBytesEnd = 0xffffffff

const bits = (text: string) => v.optional(v.pipe(integer(0, mostBits), v.description(text)))

const limitEntries = () => ({
  ingressRate: bits('Bits a second into the container; 0 or absent: no limit'),
  ingressBurst: bits('Bits that may come in at once above the rate; needed with ingressRate'),
  egressRate: bits('Bits a second out of the container; 0 or absent: no limit'),
  egressBurst: bits('Bits that may go out at once above the rate; needed with egressRate'),
})

type Limits = v.InferOutput<v.ObjectSchema<ReturnType<typeof limitEntries>, undefined>>

/** The keys of the bandwidth plugin beside the common ones. */
export const bandwidthSchema = v.object({
  ...limitEntries(),
  runtimeConfig: v.optional(
    v.object({
      bandwidth: v.optional(
        v.pipe(
          v.object(limitEntries()),
          v.description('The limits of one container; ignored if the network itself has some'),
        ),
      ),
    }),
  ),
})

/** One direction's limit, in bits and bits a second, as it was configured. */
export type RateLimit = { readonly rateBits: number; readonly burstBits: number }

/** The configuration of the bandwidth plugin. Undefined: no limit that way. */
export type BandwidthConf = {
  readonly network: string
  /** Into the container. */
  readonly ingress: RateLimit | undefined
  /** Out of the container. */
  readonly egress: RateLimit | undefined
}

// The texts are the reference's, whole: no details.
const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)

const rateLimit = (rateBits = 0, burstBits = 0): RateLimit | undefined => {
  if (rateBits !== 0 && burstBits === 0) throw invalid('if rate is set, burst must also be set')
  if (rateBits === 0 && burstBits !== 0) throw invalid('if burst is set, rate must also be set')
  if (Math.floor(burstBits / 8) >= burstBytesEnd) throw invalid('burst cannot be more than 4GB')
  return rateBits === 0 ? undefined : { rateBits, burstBits }
}

/** The network's own limits win over the container's as a whole, one key being enough, even if they are invalid. */
const chosen = (
  conf: Limits & { runtimeConfig?: { bandwidth?: Limits | undefined } | undefined },
): Limits => {
  const own = [conf.ingressRate, conf.ingressBurst, conf.egressRate, conf.egressBurst]
  return own.every(value => value === undefined) ? (conf.runtimeConfig?.bandwidth ?? {}) : conf
}

/** Reads the bandwidth plugin's configuration; throws code 7 on anything not right. */
export const readBandwidthConf = (call: Call): BandwidthConf => {
  const conf = parseBySchema(bandwidthSchema, call.raw, 'bandwidth', { forgiving: isRemoval(call) })
  const { ingressRate, ingressBurst, egressRate, egressBurst } = chosen(conf)
  return {
    network: call.conf.name,
    ingress: rateLimit(ingressRate, ingressBurst),
    egress: rateLimit(egressRate, egressBurst),
  }
}

/** The result of the plugins before this one; throws code 7 if there were none. */
export const requirePrevResult = (call: Call): Result => {
  const result = prevResultOf(call)
  if (result) return result
  throw invalid('must be called as chained plugin')
}
