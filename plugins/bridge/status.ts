import { delegate } from '../../src/cni/delegate'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { readSysctl } from '../../src/host/sysctl'
import { hasIptables } from '../../src/netfilter/iptables'
import { defaultBackend } from '../../src/netfilter/masquerade'
import { linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { type BridgeConf, readBridgeConf } from './config'

const notReady = (message: string, details: string) =>
  new CniError(ErrorCode.pluginNotAvailable, `bridge: ${message}`, { details })

const checkLink = (conf: BridgeConf): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = linkByName(nl, conf.bridge)
    if (!link || link.kind === 'bridge') return
    throw notReady(
      `"${conf.bridge}" already exists but is not a bridge`,
      `it is a ${link.kind || 'host device'}`,
    )
  })

const checkForwarding = (conf: BridgeConf): void => {
  if (!conf.isGateway || readSysctl('net/ipv4/ip_forward') !== undefined) return
  throw notReady('net.ipv4.ip_forward can not be read', 'mount /proc, writable, where the plugin runs')
}

const checkMasquerade = (conf: BridgeConf): void => {
  if (!conf.masquerade) return
  const { backend = defaultBackend() } = conf.masquerade
  if (backend === 'nftables' || hasIptables(4)) return
  throw notReady('iptables-restore is not in PATH', 'install iptables, or set "ipMasqBackend": "nftables"')
}

/** Can pods be connected now? Asks the IPAM plugin too; throws code 50 with the reason if not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  try {
    checkLink(conf)
  } catch (error) {
    if (error instanceof CniError) throw error
    throw new CniError(ErrorCode.pluginNotAvailable, 'bridge: netlink can not be used', { cause: error })
  }
  checkForwarding(conf)
  checkMasquerade(conf)
  if (conf.ipamType) await delegate(call, conf.ipamType, 'STATUS')
}
