import type { Expression } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_lookup_flags and nft_lookup_attributes */
const NFT_LOOKUP_F_INV = 1
const NFTA_LOOKUP_SET = 1
const NFTA_LOOKUP_SREG = 2
const NFTA_LOOKUP_DREG = 3
const NFTA_LOOKUP_FLAGS = 5

// "lookup"                                        ends the rule unless the key is in the set, with INV if it is
//   NFTA_LOOKUP_SREG (be32)                       where the key is
//   NFTA_LOOKUP_DREG (be32)                       where a map's data goes; absent for a set
//   NFTA_LOOKUP_SET (string)
//   NFTA_LOOKUP_FLAGS (be32)                      absent for none
export const lookup = (sreg: number, set: string, { dreg, inverse }: LookupOptions = {}): Expression => ({
  name: 'lookup',
  attributes: [
    [NFTA_LOOKUP_SREG, sreg],
    [NFTA_LOOKUP_DREG, dreg],
    [NFTA_LOOKUP_SET, set],
    [NFTA_LOOKUP_FLAGS, inverse ? NFT_LOOKUP_F_INV : undefined],
  ],
})

type LookupOptions = { dreg?: number; inverse?: boolean }
