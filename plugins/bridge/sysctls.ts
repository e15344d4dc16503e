/**
 * The sysctls of the host that containers need: forwarding, and that iptables and nftables' IP tables see what one port of
 * a bridge sends to another. Without the latter a service address that leads to a container on the same node does not
 * work: the answer takes the short way, unchanged.
 */
import { CniError, ErrorCode } from '../../src/cni/error'
import { ownSysctl } from '../../src/host/owned-sysctl'
import { readSysctl } from '../../src/host/sysctl'
import type { Family } from '../../src/ip/addr'
import { linkByIndex } from '../../src/netlink/link'
import { forwards } from '../../src/netlink/netconf'
import { RTPROT_RA, routeList } from '../../src/netlink/route'
import type { NetlinkSocket } from '../../src/netlink/socket'
import type { BridgeConf } from './config'

/** The sysctl that makes the host a router for a family. */
export const forwardingKey = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const

/** Turns forwarding on for a family, if it is off. */
export const setUpForwarding = (nl: NetlinkSocket, family: Family): void => {
  if (forwards(nl, family)) return
  const key = forwardingKey[family]
  const value = readSysctl(key)
  if (value === undefined || value === '1') return
  if (family === 6) keepAdvertisedRoutes(nl)
  ownSysctl(key, '1')
}

/**
 * A host that forwards ignores router advertisements unless accept_ra is 2, and would lose its default route when
 * the last advertised lifetime ends: Documentation/networking/ip-sysctl.rst, accept_ra.
 */
const keepAdvertisedRoutes = (nl: NetlinkSocket): void => {
  const advertised = new Set(
    routeList(nl, 6)
      .filter(({ protocol }) => protocol === RTPROT_RA)
      .map(({ index }) => index),
  )
  for (const index of advertised) {
    const link = linkByIndex(nl, index)
    const key = `net/ipv6/conf/${link?.name}/accept_ra`
    if (link && readSysctl(key) === '1') ownSysctl(key, '2')
  }
}

const bridgeNetfilterKeys = [
  'net/bridge/bridge-nf-call-iptables',
  'net/bridge/bridge-nf-call-ip6tables',
] as const

const dotted = (key: string): string => key.replaceAll('/', '.')

/** The obstacle between bridged traffic and iptables, with the remedy; undefined if nothing does. */
const obstacle = (): { message: string; details: string } | undefined => {
  for (const key of bridgeNetfilterKeys) {
    const value = readSysctl(key)
    if (value === '1') continue
    const state = value === undefined ? 'missing' : value
    return {
      message: `bridged traffic does not pass iptables: ${dotted(key)} is ${state}`,
      details: `${value === undefined ? 'modprobe br_netfilter; ' : ''}sysctl -w ${dotted(key)}=1`,
    }
  }
  return undefined
}

/** Throws `code` if "bridgeNetfilter" is "require" and the host does not have it so. */
export const probeBridgeNetfilter = ({ bridgeNetfilter }: BridgeConf, code: number): void => {
  const found = bridgeNetfilter === 'require' ? obstacle() : undefined
  if (found) throw new CniError(code, found.message, { details: found.details })
}

/** Does what "bridgeNetfilter" wants before a container is connected; throws code 999 if it cannot be had. */
export const setUpBridgeNetfilter = (conf: BridgeConf): void => {
  probeBridgeNetfilter(conf, ErrorCode.internal)
  // A kernel without br_netfilter has no such keys, and "auto" is content with that.
  if (conf.bridgeNetfilter === 'auto') for (const key of bridgeNetfilterKeys) ownSysctl(key, '1')
}
