import * as v from 'valibot'
import { type Addr, formatAddr } from '../ip/addr'
import { type Cidr, formatCidr } from '../ip/cidr'
import { CniError, ErrorCode } from './error'
import { addr, cidr, dns, integer, isJsonObject, parseBySchema, route } from './schema'
import { atLeast, isSpecVersion, type SpecVersion } from './version'

/** One interface of a result. `sandbox` is the netns path it is in, as the runtime gave it; absent on the host. */
export type Interface = {
  name: string
  mac?: string | undefined
  mtu?: number | undefined
  sandbox?: string | undefined
  socketPath?: string | undefined
  pciID?: string | undefined
}

/** One address of a result; `interface` is an index into the result's interfaces. */
export type IpConfig = {
  interface?: number | undefined
  address: Cidr
  gateway?: Addr | undefined
}

export type Route = v.InferOutput<typeof route>

export type Dns = v.InferOutput<typeof dns>

/** The result of ADD, in the terms of the newest specification: SPEC.md, "Success". */
export type Result = {
  interfaces: Interface[]
  ips: IpConfig[]
  routes: Route[]
  dns: Dns
}

/** Go's int. */
const anyInteger = () => integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)

const resultSchema = v.object({
  interfaces: v.optional(
    v.array(
      v.object({
        name: v.optional(v.string(), ''),
        mac: v.optional(v.string()),
        mtu: v.optional(anyInteger()),
        sandbox: v.optional(v.string()),
        socketPath: v.optional(v.string()),
        pciID: v.optional(v.string()),
      }),
    ),
    [],
  ),
  ips: v.optional(
    v.array(
      v.object({
        // Go's plugins take a number that is no interface's, such as -1, for none.
        interface: v.optional(anyInteger()),
        address: cidr,
        gateway: v.optional(addr),
      }),
    ),
    [],
  ),
  routes: v.optional(v.array(route), []),
  dns: v.optional(dns, {}),
})

/** The results of 0.1.0 and 0.2.0: one address a family, its routes beside it. */
const oldResultSchema = () => {
  const ip = () =>
    v.optional(v.object({ ip: cidr, gateway: v.optional(addr), routes: v.optional(v.array(route), []) }))
  return v.object({ ip4: ip(), ip6: ip(), dns: v.optional(dns, {}) })
}

/**
 * Reads a result of any version: a prevResult or what a delegate printed. One without a version has the
 * configuration's. Throws code 6 if it is no result.
 */
export const parseResult = (value: unknown, configured: SpecVersion, what: string): Result => {
  if (!isJsonObject(value)) throw new CniError(ErrorCode.decodingFailure, `${what} is not a JSON object`)
  const version = typeof value.cniVersion === 'string' && value.cniVersion ? value.cniVersion : configured
  if (!isSpecVersion(version)) {
    throw new CniError(ErrorCode.decodingFailure, `${what} has the unknown CNI version "${version}"`)
  }
  try {
    if (atLeast(version, '0.3.0')) return parseBySchema(resultSchema, value, what)
    const old = parseBySchema(oldResultSchema(), value, what)
    const both = [old.ip4, old.ip6].filter(ip => ip !== undefined)
    return {
      interfaces: [],
      ips: both.map(({ ip, gateway }) => ({ address: ip, gateway })),
      routes: both.flatMap(ip => ip.routes),
      dns: old.dns,
    }
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    throw new CniError(ErrorCode.decodingFailure, error.message, { cause: error })
  }
}

const formatRoute = ({ dst, gw, mtu, advmss, priority, table, scope }: Route, version: SpecVersion) => ({
  dst: formatCidr(dst),
  gw: gw && formatAddr(gw),
  ...(atLeast(version, '1.1.0') && { mtu, advmss, priority, table, scope }),
})

const formatOldResult = (result: Result, version: SpecVersion) => {
  const ofFamily = (family: 4 | 6) => {
    const ips = result.ips.filter(({ address }) => address.addr.family === family)
    const [ip] = ips
    if (!ip) return undefined
    if (ips.length > 1) throw tooManyAddresses(version)
    const routes = result.routes.filter(({ dst }) => dst.addr.family === family)
    return {
      ip: formatCidr(ip.address),
      gateway: ip.gateway && formatAddr(ip.gateway),
      routes: routes.length > 0 ? routes.map(entry => formatRoute(entry, version)) : undefined,
    }
  }
  const [ip4, ip6] = [ofFamily(4), ofFamily(6)]
  if (!ip4 && !ip6) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'cannot convert: no valid IP addresses')
  }
  return { cniVersion: version, ip4, ip6, dns: result.dns }
}

/** The failure of a network that has more addresses than the results of 0.1.0 and 0.2.0 can say. */
export const tooManyAddresses = (version: SpecVersion) =>
  new CniError(
    ErrorCode.invalidNetworkConfig,
    `CNI version ${version} does not support more than 1 address per family`,
  )

/**
 * A result as the object of the configuration's version, keys in the reference's order and `dns` always there.
 * Throws where that version cannot say it.
 */
export const resultToJson = (result: Result, version: SpecVersion) => {
  if (!atLeast(version, '0.3.0')) return formatOldResult(result, version)
  const newest = atLeast(version, '1.1.0')
  const interfaces = result.interfaces.map(({ name, mac, mtu, sandbox, socketPath, pciID }) => ({
    name,
    mac: mac?.toLowerCase(),
    ...(newest && { mtu }),
    sandbox,
    ...(newest && { socketPath, pciID }),
  }))
  const ips = result.ips.map(({ address, gateway, ...ip }) => ({
    ...(!atLeast(version, '1.0.0') && { version: String(address.addr.family) }),
    interface: ip.interface,
    address: formatCidr(address),
    gateway: gateway && formatAddr(gateway),
  }))
  const routes = result.routes.map(entry => formatRoute(entry, version))
  return {
    cniVersion: version,
    interfaces: interfaces.length > 0 ? interfaces : undefined,
    ips: ips.length > 0 ? ips : undefined,
    routes: routes.length > 0 ? routes : undefined,
    dns: result.dns,
  }
}

/** The result on one line, as it goes to stdout: the reference's tests up to 1.1.1 match it with `{.*}`. */
export const formatResult = (result: Result, version: SpecVersion): string =>
  JSON.stringify(resultToJson(result, version))
