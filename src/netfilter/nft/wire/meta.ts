import type { Expression } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_meta_keys and nft_meta_attributes */
export const NFT_META_PROTOCOL = 1
export const NFT_META_MARK = 3
export const NFT_META_IIFNAME = 6
export const NFT_META_OIFNAME = 7
export const NFT_META_IIFTYPE = 8
export const NFT_META_NFPROTO = 15
export const NFT_META_L4PROTO = 16
const NFTA_META_DREG = 1
const NFTA_META_KEY = 2
const NFTA_META_SREG = 3

// "meta"
//   NFTA_META_KEY (be32)
//   NFTA_META_DREG (be32)                         to load into
export const metaLoad = (key: number, dreg: number): Expression => ({
  name: 'meta',
  attributes: [
    [NFTA_META_KEY, key],
    [NFTA_META_DREG, dreg],
  ],
})

// "meta"
//   NFTA_META_KEY (be32)
//   NFTA_META_SREG (be32)                         to set from
export const metaSet = (key: number, sreg: number): Expression => ({
  name: 'meta',
  attributes: [
    [NFTA_META_KEY, key],
    [NFTA_META_SREG, sreg],
  ],
})
