/** What rules that nftables alone can make need of the kernel. */
import { CniError, ErrorCode, saidBy } from '../../cni/error'
import type { NetlinkSocket } from '../../netlink/socket'
import { hasNftables, ifNftables } from '../nft/socket'

const absent = {
  message: 'this kernel has no nf_tables',
  details:
    'load the module nf_tables, or leave "ipMasqBackend": "nftables", "macspoofchk" and "dropInvalid" out',
}

/** Runs `work` with a socket to nf_tables. Throws code 999 if the kernel has none. */
export const withNftables = <T>(work: (nl: NetlinkSocket) => T): T => {
  const done = ifNftables(nl => ({ result: work(nl) }))
  if (done) return done.result
  throw new CniError(ErrorCode.internal, absent.message, { details: absent.details })
}

/** Throws code 50 unless the kernel has nf_tables and lets this process ask for them. */
export const probeNftables = (): void => {
  let there: boolean
  try {
    there = hasNftables()
  } catch (error) {
    throw new CniError(ErrorCode.pluginNotAvailable, 'nftables can not be used', { details: saidBy(error) })
  }
  if (!there) throw new CniError(ErrorCode.pluginNotAvailable, absent.message, { details: absent.details })
}
