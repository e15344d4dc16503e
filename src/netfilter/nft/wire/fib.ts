import type { Expression } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_fib_result, nft_fib_flags and nft_fib_attributes */
export const NFT_FIB_RESULT_ADDRTYPE = 3
export const NFTA_FIB_F_DADDR = 1 << 1
const NFTA_FIB_DREG = 1
const NFTA_FIB_RESULT = 2
const NFTA_FIB_FLAGS = 3

// "fib"
//   NFTA_FIB_FLAGS (be32)                         what to look up in the routing table
//   NFTA_FIB_RESULT (be32)                        what to take of the answer
//   NFTA_FIB_DREG (be32)
export const fib = (flags: number, result: number, dreg: number): Expression => ({
  name: 'fib',
  attributes: [
    [NFTA_FIB_FLAGS, flags],
    [NFTA_FIB_RESULT, result],
    [NFTA_FIB_DREG, dreg],
  ],
})
