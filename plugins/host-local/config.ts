import * as v from 'valibot'
import { readCniArgs } from '../../src/cni/args'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type Route, tooManyAddresses } from '../../src/cni/result'
import { addr, cidr, commonEntries, parseBySchema, route } from '../../src/cni/schema'
import { atLeast } from '../../src/cni/version'
import { type Addr, formatAddr, parseAddr } from '../../src/ip/addr'
import { parseSpan, type RangeSet, rangeSet, type Span, setsOverlap } from './range'

export const defaultDataDir = '/var/lib/cni/networks'

const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)

const rangeEntries = () => ({
  subnet: v.optional(
    v.pipe(cidr(), v.description('The network the addresses are taken from: "10.1.2.0/24"')),
  ),
  rangeStart: v.optional(
    v.pipe(addr(), v.description('First address given out; default: the first of the subnet')),
  ),
  rangeEnd: v.optional(
    v.pipe(
      addr(),
      v.description('Last address given out; default: the last, for IPv4 the one before the broadcast'),
    ),
  ),
  gateway: v.optional(v.pipe(addr(), v.description('Never given out; default: the first of the subnet'))),
})

const rangeSets = () => v.array(v.array(v.object(rangeEntries())))

/** The configuration of host-local: the network's, with an `ipam` object. */
export const hostLocalSchema = () =>
  v.object({
    ...commonEntries(),
    ipam: v.optional(
      v.object({
        type: v.optional(v.string()),
        ...rangeEntries(),
        ranges: v.optional(
          v.pipe(rangeSets(), v.description('Range sets: the container gets one address from each')),
        ),
        routes: v.optional(v.pipe(v.array(route()), v.description('Routes for the container'))),
        dataDir: v.optional(
          v.pipe(v.string(), v.description('Folder of the leases; default /var/lib/cni/networks')),
        ),
        resolvConf: v.optional(
          v.pipe(v.string(), v.description('File the "dns" of the result is read from')),
        ),
        exclude: v.optional(
          v.pipe(
            v.array(v.string()),
            v.description(
              'Never given out unless asked for: addresses, networks or spans "10.1.2.3-10.1.2.9"',
            ),
          ),
        ),
      }),
    ),
    runtimeConfig: v.optional(
      v.object({ ipRanges: v.optional(rangeSets()), ips: v.optional(v.array(v.string())) }),
    ),
    args: v.optional(v.object({ cni: v.optional(v.object({ ips: v.optional(v.array(v.string())) })) })),
  })

/** What host-local goes by, checked and complete. */
export type HostLocalConf = {
  readonly network: string
  readonly dataDir: string
  /** One address is given out of each. */
  readonly rangeSets: readonly RangeSet[]
  /** The addresses asked for by the runtime or user, each once. */
  readonly requested: readonly Addr[]
  readonly excluded: readonly Span[]
  readonly routes: readonly Route[]
  readonly resolvConf: string | undefined
}

/** An address asked for, with or without its prefix length, which is the subnet's in any case. */
const parseRequested = (text: string): Addr => {
  const parsed = parseAddr(text.split('/')[0] ?? '')
  if (parsed) return parsed
  throw invalid(`cannot understand ip: ${JSON.stringify(text)}`)
}

const unique = (addrs: readonly Addr[]): Addr[] => [
  ...new Map(addrs.map(entry => [formatAddr(entry), entry])).values(),
]

/** Reads host-local's configuration and CNI_ARGS. Throws code 7, or 4 for CNI_ARGS, on anything not right. */
export const readHostLocalConf = (call: Call): HostLocalConf => {
  const conf = parseBySchema(hostLocalSchema(), call.raw, 'host-local')
  const { ipam } = conf
  if (!ipam) throw invalid("IPAM config missing 'ipam' key")
  const fromArgs = readCniArgs(call.env.args, ['IP']).IP
  const requested = [
    ...(fromArgs ? [fromArgs] : []),
    ...(conf.args?.cni?.ips ?? []),
    ...(conf.runtimeConfig?.ips ?? []),
  ].map(parseRequested)

  const sets = [
    ...(conf.runtimeConfig?.ipRanges ?? []),
    ...(ipam.subnet ? [[ipam]] : []),
    ...(ipam.ranges ?? []),
  ].map(rangeSet)
  if (sets.length === 0) throw invalid('no IP ranges specified')
  const families = sets.map(set => set.ranges[0].subnet.addr.family)
  const several = [4, 6].some(family => families.filter(other => other === family).length > 1)
  if (several && !atLeast(call.version, '0.3.0')) throw tooManyAddresses(call.version)
  sets.forEach((set, i) => {
    const other = sets.findIndex((later, j) => j > i && setsOverlap(set, later))
    if (other >= 0) throw invalid(`range set ${i} overlaps with ${other}`)
  })

  return {
    network: conf.name,
    dataDir: ipam.dataDir ?? defaultDataDir,
    rangeSets: sets,
    requested: unique(requested),
    excluded: (ipam.exclude ?? []).map(parseSpan),
    routes: ipam.routes ?? [],
    resolvConf: ipam.resolvConf,
  }
}
