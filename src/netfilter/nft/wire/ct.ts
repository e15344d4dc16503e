import type { Expression } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_ct_keys and nft_ct_attributes */
export const NFT_CT_STATE = 0
export const NFT_CT_STATUS = 2
const NFTA_CT_DREG = 1
const NFTA_CT_KEY = 2

// "ct"
//   NFTA_CT_KEY (be32)
//   NFTA_CT_DREG (be32)
export const ctLoad = (key: number, dreg: number): Expression => ({
  name: 'ct',
  attributes: [
    [NFTA_CT_KEY, key],
    [NFTA_CT_DREG, dreg],
  ],
})
