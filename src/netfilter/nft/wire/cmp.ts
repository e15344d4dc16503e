import { type Expression, putData, type ReadExpression, readData } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_cmp_ops and nft_cmp_attributes */
export const NFT_CMP_EQ = 0
export const NFT_CMP_NEQ = 1
const NFTA_CMP_SREG = 1
const NFTA_CMP_OP = 2
const NFTA_CMP_DATA = 3

// "cmp"                                           ends the rule unless the comparison holds
//   NFTA_CMP_SREG (be32)
//   NFTA_CMP_OP (be32)
//   NFTA_CMP_DATA (nft_data)                      as many bytes as are compared
export const cmp = (sreg: number, op: number, value: Uint8Array): Expression => ({
  name: 'cmp',
  attributes: [
    [NFTA_CMP_SREG, sreg],
    [NFTA_CMP_OP, op],
    [NFTA_CMP_DATA, putData(value)],
  ],
})

/** The value a rule's step compares with; undefined for a step that is no comparison. */
export const readCmpValue = ({ name, attributes }: ReadExpression): Buffer | undefined =>
  name === 'cmp' ? readData(attributes.get(NFTA_CMP_DATA)) : undefined
