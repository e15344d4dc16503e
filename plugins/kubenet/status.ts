import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { nftGeneration } from '../../src/netfilter/nft/read'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import { chooseBackend } from './backend'
import { readKubenetConf } from './config'
import { bridgeConf, callOf, parts } from './parts'

/** Can pods be connected now? Throws code 50 with the first reason why not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  const backend = chooseBackend(conf)
  if (backend === 'nftables') {
    try {
      withNetlink(NETLINK_NETFILTER, nftGeneration)
    } catch (cause) {
      throw new CniError(ErrorCode.pluginNotAvailable, 'kubenet: nftables can not be used', { cause })
    }
  }
  await parts.loopback.status(callOf(call, { type: 'loopback' }))
  await parts.portmap.status(callOf(call, { type: 'portmap', backend }))
  await parts.bridge.status(callOf(call, bridgeConf(conf, { masquerade: backend === 'iptables' })))
  await parts.bandwidth.status(callOf(call, { type: 'bandwidth' }))
}
