import * as v from 'valibot'
import { CniError, ErrorCode, quote } from '../../src/cni/error'
import { type Call, isRemoval, prevResultOf } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { addr, extension, parseBySchema } from '../../src/cni/schema'
import type { Cidr } from '../../src/ip/cidr'
import { type Backend, backends, defaultBackend } from '../../src/netfilter/backend'
import { type HostPorts, type PortMapping, protocols } from '../../src/netfilter/rules/hostports/hostports'

/** The backend that conditions, the user's own matches, are written for; iptables' begin with "-" or "!", nft's never do. */
const backendOfConditions = (list: readonly string[] | undefined): Backend | undefined => {
  const first = list?.[0]
  if (!first) return undefined
  return /^[-!]/.test(first) ? 'iptables' : 'nftables'
}

/**
 * Conditions go as single words into the input of iptables-restore, as they are into nft's: what would end the line,
 * or take the rest of the rule away there, is refused.
 */
const checkConditions = (
  key: string,
  list: readonly string[] | undefined,
  backend: Backend,
): readonly string[] => {
  const forbidden = backend === 'iptables' ? /\p{Cc}/u : /[\p{Cc};#\\]/u
  const bad = list?.find(word => forbidden.test(word))
  if (bad === undefined) return list ?? []
  const what = backend === 'iptables' ? 'a control character' : 'a control character or one of ; # \\'
  throw new CniError(ErrorCode.invalidNetworkConfig, `"${key}": ${quote(bad)} has ${what}`)
}

/** Kubernetes marks with bits 14 and 15, Calico with 20 to 31. */
const defaultMarkBit = 13

/** Reaction to a program of the host that listens on a host port. */
const hostListeners = ['warn', 'refuse', 'ignore'] as const

const wholeNumber = () =>
  v.pipe(
    v.number(),
    v.check(
      value => Number.isInteger(value),
      issue => `expected a whole number but received ${quote(issue.input)}`,
    ),
  )

const portMapping = () =>
  v.object({
    // One that is not there is 0, as in Go, and refused like it.
    hostPort: v.optional(v.pipe(wholeNumber(), v.description('Port on the host, 1 to 65535')), 0),
    containerPort: v.optional(v.pipe(wholeNumber(), v.description('Port in the container, 1 to 65535')), 0),
    protocol: v.optional(
      v.pipe(v.string(), v.description('"tcp", "udp" or "sctp", in any case; default tcp')),
    ),
    hostIP: v.optional(
      v.pipe(addr, v.description('Only on this address of the host; 0.0.0.0 and ::: on all')),
    ),
  })

const conditions = (family: string) =>
  v.optional(
    v.pipe(
      v.array(v.string()),
      v.description(`Additional matches for every ${family} connection, in the language of iptables or nft`),
    ),
  )

/** The keys of portmap beside the common ones. */
export const portmapSchema = v.object({
  backend: v.optional(
    v.pipe(v.string(), v.description('"iptables" or "nftables"; default: iptables where it is installed')),
  ),
  snat: v.optional(
    v.pipe(
      v.boolean(),
      v.description('Masquerade connections from localhost and from the container itself; default true'),
    ),
  ),
  masqAll: v.optional(v.pipe(v.boolean(), v.description('Masquerade every connection to a host port'))),
  markMasqBit: v.optional(
    v.pipe(
      wholeNumber(),
      v.description('Bit of the packet mark that means "masquerade", 0 to 31; default 13'),
    ),
  ),
  externalSetMarkChain: v.optional(
    v.pipe(v.string(), v.description('iptables chain of another program that sets the mark')),
  ),
  conditionsV4: conditions('IPv4'),
  conditionsV6: conditions('IPv6'),
  hostListeners: extension(
    v.optional(
      v.pipe(
        v.picklist(hostListeners),
        v.description('Reaction to a program of the host that listens on a host port; default warn'),
      ),
    ),
  ),
  runtimeConfig: v.optional(v.object({ portMappings: v.optional(v.array(portMapping())) })),
})

/** The configuration of portmap, checked and complete. */
export type PortmapConf = HostPorts & {
  readonly backend: Backend
  readonly hostListeners: (typeof hostListeners)[number]
  /** The result of the plugins before; undefined if none was given. */
  readonly prevResult: Result | undefined
}

type RawConf = v.InferOutput<typeof portmapSchema>
type RawMapping = v.InferOutput<ReturnType<typeof portMapping>>

const invalid = (message: string, details = '') =>
  new CniError(ErrorCode.invalidNetworkConfig, message, { details })

const checkPort = (which: 'host' | 'container', port: number, index: number): void => {
  if (port > 0 && port <= 65535) return
  // The details count as part of the text, which runtimes compare for the ports Go refuses.
  throw invalid(`Invalid ${which} port number: ${port}`, port > 65535 ? `in portMappings[${index}]` : '')
}

const readMapping = (
  { hostPort, containerPort, protocol = 'tcp', hostIP }: RawMapping,
  index: number,
): PortMapping => {
  checkPort('container', containerPort, index)
  checkPort('host', hostPort, index)
  const known = protocols.find(name => name === protocol.toLowerCase())
  if (!known) {
    throw invalid(`unknown protocol ${quote(protocol)} in portMappings[${index}], host port ${hostPort}`)
  }
  const unspecified = hostIP?.bits === 0n
  return {
    protocol: known,
    hostPort,
    containerPort,
    hostIP: unspecified ? undefined : hostIP,
    onlyFamily: hostIP?.family,
  }
}

/** The options in use that only one backend has, with that backend. */
const demands = (conf: RawConf): (readonly [key: string, backend: Backend])[] => {
  const all: [string, Backend | undefined][] = [
    ['externalSetMarkChain', conf.externalSetMarkChain === undefined ? undefined : 'iptables'],
    ['conditionsV4', backendOfConditions(conf.conditionsV4)],
    ['conditionsV6', backendOfConditions(conf.conditionsV6)],
  ]
  return all.flatMap(([key, backend]) => (backend ? [[key, backend] as const] : []))
}

/** The backend: the one named, else the one the options demand, else the default. */
const chooseBackend = (conf: RawConf): Backend => {
  const demanded = demands(conf)
  const chosen =
    conf.backend === undefined
      ? (demanded[0]?.[1] ?? defaultBackend())
      : backends.find(name => name === conf.backend)
  if (!chosen) throw invalid(`unrecognized backend ${quote(conf.backend)}`)
  const wrong = demanded.filter(([, backend]) => backend !== chosen).map(([key]) => key)
  if (wrong.length === 0) return chosen
  const other = chosen === 'iptables' ? 'nftables' : 'iptables'
  throw invalid(
    `${chosen} backend was requested but configuration contains ${other}-specific options [${wrong.join(' ')}]`,
  )
}

const checkSetMarkChain = (chain: string | undefined): string | undefined => {
  if (chain === undefined || /^[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,27}$/.test(chain)) return chain
  throw invalid(`"externalSetMarkChain": ${quote(chain)} is no valid chain name`)
}

const checkMarkBit = (bit: number | undefined, chain: string | undefined): number => {
  if (bit !== undefined && chain !== undefined)
    throw invalid('Cannot specify externalSetMarkChain and markMasqBit')
  if (bit === undefined) return defaultMarkBit
  if (bit < 0 || bit > 31) throw invalid('MasqMarkBit must be between 0 and 31')
  return bit
}

/** The first address of each family that is the container's; an address without an interface counts as such. */
const containerAddresses = (result: Result, ifName: string): Cidr[] => {
  const own = result.ips.filter(ip => {
    const link = ip.interface === undefined ? undefined : result.interfaces[ip.interface]
    return !link || (link.name === ifName && Boolean(link.sandbox))
  })
  return ([4, 6] as const).flatMap(family => {
    const first = own.find(({ address }) => address.addr.family === family)
    return first ? [first.address] : []
  })
}

/** The result of the plugins before. For ADD and CHECK it must be one; a broken cache must not keep DEL from cleaning. */
const readPrevResult = (call: Call): Result | undefined => {
  const { env } = call
  try {
    return prevResultOf(call)
  } catch (error) {
    if (env.command === 'ADD' || env.command === 'CHECK') throw error
    return undefined
  }
}

/** Reads portmap's configuration; throws code 7 on anything not right. */
export const readPortmapConf = (call: Call): PortmapConf => {
  const conf = parseBySchema(portmapSchema, call.raw, 'portmap', { forgiving: isRemoval(call) })
  const result = readPrevResult(call)
  const externalSetMarkChain = checkSetMarkChain(conf.externalSetMarkChain)
  const markBit = checkMarkBit(conf.markMasqBit, externalSetMarkChain)
  const backend = chooseBackend(conf)
  return {
    network: call.conf.name,
    containerID: call.env.containerID,
    ifName: call.env.ifName,
    markBit,
    backend,
    snat: conf.snat ?? true,
    masqAll: conf.masqAll ?? false,
    externalSetMarkChain,
    conditions: {
      4: checkConditions('conditionsV4', conf.conditionsV4, backend),
      6: checkConditions('conditionsV6', conf.conditionsV6, backend),
    },
    hostListeners: conf.hostListeners ?? 'warn',
    mappings: (conf.runtimeConfig?.portMappings ?? []).map(readMapping),
    prevResult: result,
    addresses: result ? containerAddresses(result, call.env.ifName) : [],
  }
}

/** The same with another result: the addresses that the ports lead to are that one's. */
export const withResult = (conf: PortmapConf, result: Result): PortmapConf => ({
  ...conf,
  prevResult: result,
  addresses: containerAddresses(result, conf.ifName),
})

/** Reads the configuration for all verbs but CHECK, which say so in front of what is wrong with it. */
export const readConf = (call: Call): PortmapConf => {
  try {
    return readPortmapConf(call)
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(error.code, `failed to parse config: ${error.message}`, { details: error.details })
  }
}
