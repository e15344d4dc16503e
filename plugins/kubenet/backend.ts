import type { Backend } from '../../src/netfilter/backend'
import { hasIptables } from '../../src/netfilter/iptables'
import { nftGeneration } from '../../src/netfilter/nft/read'
import { NetlinkError } from '../../src/netlink/error'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import type { KubenetConf } from './config'

// A kernel without nf_tables knows no such subsystem, or no such protocol.
const absent = ['EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT', 'EAFNOSUPPORT']

/** Does the kernel have nf_tables? Nothing is loaded or changed by asking. */
const hasNftables = (): boolean => {
  try {
    withNetlink(NETLINK_NETFILTER, nftGeneration)
    return true
  } catch (error) {
    if (error instanceof NetlinkError && absent.includes(error.code)) return false
    throw error
  }
}

/** The packet filter to use: the one named, else nftables if the kernel has it. */
export const chooseBackend = ({ backend }: KubenetConf): Backend => {
  if (backend !== 'auto') return backend
  return hasNftables() || !hasIptables(4) ? 'nftables' : 'iptables'
}
