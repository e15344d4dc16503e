/** Adding what may be there already. */
import type { NetlinkSocket } from '../../netlink/socket'
import { chainGet } from './read'
import type { NftTransaction } from './transaction'
import type { NftChain, ReadChain } from './wire/chain'
import type { NftTable } from './wire/table'

/** Would `add chain` leave it as it is? */
const isAsWanted = (found: ReadChain, chain: NftChain): boolean =>
  !('hook' in chain) ||
  (found.type === chain.type &&
    found.hook === chain.hook &&
    found.priority === chain.priority &&
    (chain.policy === undefined || found.policy === chain.policy))

/**
 * `add chain`, but of one that is not there as wanted. The kernel takes the addition of a chain that is there for a
 * change of it, keeps what the change replaced until no processor can use it any more, and has whoever closes a socket
 * of nf_tables wait for that: 10 to 20 ms (nft_rcv_nl_event in net/netfilter/nf_tables_api.c). Looking costs 0.1 ms.
 */
export const ensureChain = (
  nl: Pick<NetlinkSocket, 'request' | 'dump'>,
  tx: NftTransaction,
  table: NftTable,
  chain: NftChain,
): void => {
  const found = chainGet(nl, table, chain.name)
  if (!found || !isAsWanted(found, chain)) tx.addChain(table, chain)
}
