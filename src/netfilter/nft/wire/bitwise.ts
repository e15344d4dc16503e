import { type Expression, putData } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_bitwise_attributes */
const NFTA_BITWISE_SREG = 1
const NFTA_BITWISE_DREG = 2
const NFTA_BITWISE_LEN = 3
const NFTA_BITWISE_MASK = 4
const NFTA_BITWISE_XOR = 5

// "bitwise"                                       register = (register & mask) ^ xor
//   NFTA_BITWISE_SREG (be32)
//   NFTA_BITWISE_DREG (be32)
//   NFTA_BITWISE_LEN (be32)
//   NFTA_BITWISE_MASK (nft_data)                  LEN bytes
//   NFTA_BITWISE_XOR (nft_data)                   LEN bytes
export const bitwise = (register: number, mask: Uint8Array, xor: Uint8Array): Expression => ({
  name: 'bitwise',
  attributes: [
    [NFTA_BITWISE_SREG, register],
    [NFTA_BITWISE_DREG, register],
    [NFTA_BITWISE_LEN, mask.length],
    [NFTA_BITWISE_MASK, putData(mask)],
    [NFTA_BITWISE_XOR, putData(xor)],
  ],
})
