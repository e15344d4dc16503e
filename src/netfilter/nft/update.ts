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

const nothing = { family: 'inet', name: 'kubenet-never-there' } as const

/**
 * Would the kernel take the changes that `build` adds? It looks at all of them and takes none, as the last one cannot be
 * made. Throws what commit() would; the modules that the changes need may be loaded by it.
 */
export const nftProbe = (nl: Pick<NetlinkSocket, 'exchange'>, build: (tx: NftTransaction) => void): void => {
  const tx = new NftTransaction()
  build(tx)
  tx.deleteTable(nothing)
  try {
    tx.commit(nl)
  } catch (error) {
    if (!(error instanceof NetlinkError) || !error.op.includes(nothing.name)) throw error
  }
}
