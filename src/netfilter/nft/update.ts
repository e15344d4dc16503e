import { NetlinkError } from '../../netlink/error'
import type { NetlinkSocket } from '../../netlink/socket'
import { nftGeneration } from './read'
import { NftTransaction } from './transaction'

// Each failed attempt means that another process got its change through; a node starts some dozen pods at once.
const maxAttempts = 64

/**
 * Changes nftables according to what is in them: `build` reads through `nl`, adds changes, and the kernel takes them
 * only if nobody changed any table meanwhile; else `build` runs again with a new transaction. Returns what the last
 * run returned. Throws EAGAIN, saying `op`, if others were faster each time, and what commit() throws.
 */
export const nftUpdate = <T>(
  nl: Pick<NetlinkSocket, 'request' | 'dump' | 'exchange'>,
  op: string,
  build: (tx: NftTransaction) => T,
): T => {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const tx = new NftTransaction(nftGeneration(nl))
    const result = build(tx)
    try {
      tx.commit(nl)
      return result
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== 'ERESTART') throw error
    }
  }
  throw new NetlinkError(op, 'EAGAIN', `nftables changed during each of ${maxAttempts} attempts`)
}
