import type { Backend } from '../../src/netfilter/backend'
import { hasIptables } from '../../src/netfilter/iptables'
import { hasNftables } from '../../src/netfilter/nft/socket'
import type { KubenetConf } from './config'

/** The packet filter to use: the one named, else nftables if the kernel has it. */
export const chooseBackend = ({ backend }: KubenetConf): Backend => {
  if (backend !== 'auto') return backend
  return hasNftables() || !hasIptables(4) ? 'nftables' : 'iptables'
}
