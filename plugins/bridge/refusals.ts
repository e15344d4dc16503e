/**
 * Readable configurations that ADD and STATUS refuse. DEL does not look at it: a configuration that was spoilt after
 * containers were added must not keep them from being removed.
 */
import { longestVethPrefix } from '../../src/attachment/interfaces'
import { checkIfName } from '../../src/cni/args'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Result } from '../../src/cni/result'
import { formatAddr } from '../../src/ip/addr'
import { formatCidr } from '../../src/ip/cidr'
import { parseMac } from '../../src/ip/mac'
import type { BridgeConf } from './config'
import { namedBackend } from './masquerade'
import { smallestIPv6Mtu } from './mtu'
import { isVethPrefix } from './veth'
import { vlanInterfaceName } from './vlan-gateway'

/** The smallest MTU of a link that carries IPv4 (RFC 791), and the largest that a veth takes (veth.c). */
const mtuLimits = { smallest: 68, largest: 65535 }

const invalid = (message: string, details = '') =>
  new CniError(ErrorCode.invalidNetworkConfig, message, { details })

const refuseContradictions = (conf: BridgeConf): void => {
  if (conf.ipamType && !conf.containerInterfaceUp) {
    throw invalid('cannot use IPAM when DisableContainerInterface flag is set')
  }
  if (conf.hairpin && conf.promiscuous) {
    throw invalid('cannot set hairpin mode and promiscuous mode at the same time')
  }
}

const refuseMtu = ({ mtu }: BridgeConf): void => {
  const { smallest, largest } = mtuLimits
  if (mtu === undefined || (mtu >= smallest && mtu <= largest)) return
  throw invalid(`"mtu": ${mtu} is not between ${smallest} and ${largest}`)
}

const refuseName = (conf: BridgeConf): void => {
  const names = [conf.bridge, ...(conf.vlan !== 0 && conf.isGateway ? [vlanInterfaceName(conf)] : [])]
  for (const name of names) {
    try {
      checkIfName(name)
    } catch (error) {
      throw invalid(`"bridge": no interface can be called "${name}"`, CniError.from(error).message)
    }
  }
}

const refuseVethPrefix = ({ vethPrefix }: BridgeConf): void => {
  if (isVethPrefix(vethPrefix)) return
  throw invalid(
    `"vethPrefix": no interface can be called "${vethPrefix}…"`,
    `it may have ${longestVethPrefix} characters at most: letters, digits, ".", "_" and "-"`,
  )
}

const refuseMac = ({ mac }: BridgeConf): void => {
  if (!mac || parseMac(mac.text)) return
  const code = mac.source === 'CNI_ARGS' ? ErrorCode.invalidEnvironment : ErrorCode.invalidNetworkConfig
  throw new CniError(code, `${mac.source}: "${mac.text}" is no MAC address`)
}

/** Throws code 7, or 4 for CNI_ARGS, if no container can be added with this. */
export const refuseUnusable = (conf: BridgeConf): void => {
  refuseContradictions(conf)
  refuseMtu(conf)
  refuseName(conf)
  refuseVethPrefix(conf)
  refuseMac(conf)
  namedBackend(conf)
}

/** Throws code 7 if a gateway that the IPAM plugin answered is of another family than what is to go over it. */
export const refuseForeignGateways = (conf: BridgeConf, { ips, routes }: Result): void => {
  const pairs = [
    ...ips.map(({ address, gateway }) => ({
      via: conf.isGateway ? gateway : undefined,
      to: address,
      key: 'gateway',
      of: 'the address',
    })),
    ...routes.map(({ dst, gw }) => ({ via: gw, to: dst, key: 'gw', of: 'the route to' })),
  ]
  const foreign = pairs.find(({ via, to }) => via && via.family !== to.addr.family)
  if (!foreign?.via) return
  const { via, to, key, of } = foreign
  throw invalid(
    `the "${key}" ${formatAddr(via)} of ${of} ${formatCidr(to)} is IPv${via.family}`,
    `it must be IPv${to.addr.family}: correct "ipam", or what the IPAM plugin "${conf.ipamType}" gives out`,
  )
}

/** Throws code 7 if an interface with this MTU, as configured, could not carry IPv6 addresses. */
export const refuseForIPv6 = (conf: BridgeConf, mtu: number): void => {
  if (conf.ipv6 === 'off') throw invalid('"ipv6" is "off", but the IPAM plugin gave out an IPv6 address')
  if (mtu >= smallestIPv6Mtu) return
  const found =
    conf.mtu === undefined ? `the smallest MTU of the host's interfaces, ${mtu},` : `"mtu": ${mtu}`
  throw invalid(`${found} is not between ${smallestIPv6Mtu} and ${mtuLimits.largest}, as IPv6 needs it`)
}
