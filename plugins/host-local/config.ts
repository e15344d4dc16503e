import * as v from 'valibot'
import { usualDataDir } from '../../src/attachment/lease'
import { readCniArgs } from '../../src/cni/args'
import { CniError, ErrorCode, quote } from '../../src/cni/error'
import { type Call, isRemoval } from '../../src/cni/plugin'
import { type Route, tooManyAddresses } from '../../src/cni/result'
import { addr, cidr, extension, integer, parseBySchema, route } from '../../src/cni/schema'
import { atLeast } from '../../src/cni/version'
import { type Addr, formatAddr, parseAddr } from '../../src/ip/addr'
import { parseCidr } from '../../src/ip/cidr'
import { parseSpan, type RangeSet, rangeSet, type Span, setsOverlap } from './range'

const invalid = (message: string) => new CniError(ErrorCode.invalidNetworkConfig, message)

const rangeEntries = {
  subnet: v.optional(v.pipe(cidr, v.description('The network the addresses are taken from: "10.1.2.0/24"'))),
  rangeStart: v.optional(
    v.pipe(addr, v.description('First address given out; default: the first of the subnet')),
  ),
  rangeEnd: v.optional(
    v.pipe(
      addr,
      v.description('Last address given out; default: the last, for IPv4 the one before the broadcast'),
    ),
  ),
  gateway: v.optional(v.pipe(addr, v.description('Never given out; default: the first of the subnet'))),
}

const rangeSets = v.array(v.array(v.object(rangeEntries)))

/** The keys of host-local beside the common ones: an `ipam` object in the network's configuration. */
export const hostLocalSchema = v.object({
  ipam: v.optional(
    v.object({
      type: v.optional(v.string()),
      ...rangeEntries,
      ranges: v.optional(
        v.pipe(rangeSets, v.description('Range sets: the container gets one address from each')),
      ),
      routes: v.optional(v.pipe(v.array(route), v.description('Routes for the container'))),
      dataDir: v.optional(
        v.pipe(v.string(), v.description('Folder of the leases; default /var/lib/cni/networks')),
      ),
      resolvConf: v.optional(v.pipe(v.string(), v.description('File the "dns" of the result is read from'))),
      exclude: extension(
        v.optional(
          v.pipe(
            v.array(v.string()),
            v.description('Never given out: addresses, networks or spans "10.1.2.3-10.1.2.9"'),
          ),
        ),
      ),
      staticRanges: extension(
        v.optional(
          v.pipe(
            v.array(v.string()),
            v.description('Addresses that only containers get which request one; written like "exclude"'),
          ),
        ),
      ),
      sticky: extension(
        v.optional(
          v.pipe(
            v.picklist(['pod']),
            v.description('Give a pod the address that a pod of its name had before, if it is free'),
          ),
        ),
      ),
      probe: extension(
        v.optional(
          v.pipe(v.string(), v.description('Interface on which ADD asks whether an address is in use')),
        ),
      ),
      cooldownSeconds: extension(
        v.optional(
          v.pipe(
            integer(0, 0x7fffffff),
            v.description(
              'Seconds in which a returned address is given out only if there is no other; default 0',
            ),
          ),
          0,
        ),
      ),
    }),
  ),
  runtimeConfig: v.optional(
    v.object({ ipRanges: v.optional(rangeSets), ips: v.optional(v.array(v.string())) }),
  ),
  args: v.optional(v.object({ cni: v.optional(v.object({ ips: v.optional(v.array(v.string())) })) })),
})

/** The configuration of host-local, checked and complete. */
export type HostLocalConf = {
  readonly network: string
  readonly dataDir: string
  /** One address is given out of each. */
  readonly rangeSets: readonly RangeSet[]
  /** The addresses asked for by the runtime or user, each once. */
  readonly requested: readonly Addr[]
  /** Never given out. */
  readonly excluded: readonly Span[]
  /** Not given out in turn: what is excluded, and what is only for those who ask. */
  readonly withheld: readonly Span[]
  /** The pod, "<namespace>/<name>", whose address is given to the next of that name; undefined if that is not wanted. */
  readonly stickyPod: string | undefined
  /** The interface to ask on for addresses in use; undefined: ADD does not ask. */
  readonly probe: string | undefined
  readonly routes: readonly Route[]
  readonly resolvConf: string | undefined
  /** How long an address that was given back is left alone while there are others; 0: not at all. */
  readonly cooldownSeconds: number
}

/** Reads an address with or without a prefix length, which is the subnet's in any case. */
const parseEither = (text: string): Addr | undefined =>
  text.includes('/') ? parseCidr(text)?.addr : parseAddr(text)

const parseRequested = (text: string): Addr => {
  const parsed = parseEither(text)
  if (parsed) return parsed
  throw invalid(`cannot understand ip: ${quote(text)}`)
}

/** The address that CNI_ARGS asks for. */
const requestedInArgs = (text: string | undefined): Addr[] => {
  if (!text) return []
  const parsed = parseEither(text)
  if (parsed) return [parsed]
  throw new CniError(
    ErrorCode.invalidEnvironment,
    `ARGS: error parsing value of pair "IP=${text}": invalid IP address ${text}`,
  )
}

/** The part of CNI_ARGS that counts; with `named` it may name a pod without `IgnoreUnknown`. */
const readArgs = (text: string, named: boolean): { ip: string | undefined; pod: string | undefined } => {
  const known = named ? (['IP', 'K8S_POD_NAMESPACE', 'K8S_POD_NAME'] as const) : (['IP'] as const)
  const { IP, K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name } = readCniArgs<ArgKey>(text, known)
  return { ip: IP, pod: named && namespace && name ? `${namespace}/${name}` : undefined }
}

type ArgKey = 'IP' | 'K8S_POD_NAMESPACE' | 'K8S_POD_NAME'

const unique = (addrs: readonly Addr[]): Addr[] => [
  ...new Map(addrs.map(entry => [formatAddr(entry), entry])).values(),
]

/** Reads host-local's configuration and CNI_ARGS. Throws code 7, or 4 for CNI_ARGS, on anything not right. */
export const readHostLocalConf = (call: Call): HostLocalConf => {
  const conf = parseBySchema(hostLocalSchema, call.raw, 'host-local', { forgiving: isRemoval(call) })
  const { ipam } = conf
  if (!ipam) throw invalid("IPAM config missing 'ipam' key")
  const args = readArgs(call.env.args, ipam.sticky !== undefined)
  const requested = [
    ...requestedInArgs(args.ip),
    ...(conf.args?.cni?.ips ?? []).map(parseRequested),
    ...(conf.runtimeConfig?.ips ?? []).map(parseRequested),
  ]

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

  const spansOf = (texts: readonly string[] | undefined, key: string): Span[] =>
    isRemoval(call) ? [] : (texts ?? []).map(text => parseSpan(text, key))
  const excluded = spansOf(ipam.exclude, 'exclude')
  return {
    network: call.conf.name,
    dataDir: ipam.dataDir ?? usualDataDir,
    rangeSets: sets,
    requested: unique(requested),
    excluded,
    withheld: [...excluded, ...spansOf(ipam.staticRanges, 'staticRanges')],
    stickyPod: args.pod,
    probe: ipam.probe,
    routes: ipam.routes ?? [],
    resolvConf: ipam.resolvConf,
    cooldownSeconds: ipam.cooldownSeconds,
  }
}
