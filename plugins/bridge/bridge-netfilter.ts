/**
 * Whether iptables and nftables' IP tables see what one port of a bridge sends to another. If they do not, a service
 * address that leads to a container on the same node does not work: the answer takes the short way, unchanged.
 */
import { CniError, ErrorCode } from '../../src/cni/error'
import { ensureSysctl, readSysctl } from '../../src/host/sysctl'
import type { BridgeConf } from './config'

const keys = ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables'] as const

const dotted = (key: string): string => key.replaceAll('/', '.')

/** The obstacle between bridged traffic and iptables, with the remedy; undefined if nothing does. */
const obstacle = (): { message: string; details: string } | undefined => {
  for (const key of keys) {
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
export const requireBridgeNetfilter = ({ bridgeNetfilter }: BridgeConf, code: number): void => {
  const found = bridgeNetfilter === 'require' ? obstacle() : undefined
  if (found) throw new CniError(code, found.message, { details: found.details })
}

/** Does what "bridgeNetfilter" wants before a container is connected; throws code 999 if it cannot be had. */
export const ensureBridgeNetfilter = (conf: BridgeConf): void => {
  requireBridgeNetfilter(conf, ErrorCode.internal)
  // A kernel without br_netfilter has no such keys, and "auto" is content with that.
  if (conf.bridgeNetfilter === 'auto') for (const key of keys) ensureSysctl(key, '1')
}
