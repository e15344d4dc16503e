import { CniError, ErrorCode } from '../../src/cni/error'
import { hasNftables, ifNftables } from '../../src/netfilter/nft/socket'
import type { NetlinkSocket } from '../../src/netlink/socket'
import { notReady, saidBy } from './not-ready'

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
    throw notReady('nftables can not be used', saidBy(error))
  }
  if (!there) throw notReady(absent.message, absent.details)
}
