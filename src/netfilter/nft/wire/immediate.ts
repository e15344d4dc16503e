import { readAttributes, readText } from '../../../netlink/wire/attributes'
import { type Expression, NFTA_DATA_VERDICT, putData, type ReadExpression, readData } from './expression'
import { NFT_REG_VERDICT } from './register'

/** <linux/netfilter.h> and <linux/netfilter/nf_tables.h>, enum nft_verdicts */
export const NF_DROP = 0
export const NF_ACCEPT = 1
export const NFT_JUMP = -3
export const NFT_GOTO = -4
export const NFT_RETURN = -5

/** enum nft_immediate_attributes and nft_verdict_attributes */
const NFTA_IMMEDIATE_DREG = 1
const NFTA_IMMEDIATE_DATA = 2
const NFTA_VERDICT_CODE = 1
const NFTA_VERDICT_CHAIN = 2

// "immediate"
//   NFTA_IMMEDIATE_DREG (be32)
//   NFTA_IMMEDIATE_DATA (nft_data)
export const immediate = (dreg: number, value: Uint8Array): Expression => ({
  name: 'immediate',
  attributes: [
    [NFTA_IMMEDIATE_DREG, dreg],
    [NFTA_IMMEDIATE_DATA, putData(value)],
  ],
})

// "immediate"
//   NFTA_IMMEDIATE_DREG (be32)                    NFT_REG_VERDICT
//   NFTA_IMMEDIATE_DATA (nest)
//     NFTA_DATA_VERDICT (nest)
//       NFTA_VERDICT_CODE (be32, signed)
//       NFTA_VERDICT_CHAIN (string)               of NFT_JUMP and NFT_GOTO
export const immediateVerdict = (code: number, chain?: string): Expression => ({
  name: 'immediate',
  attributes: [
    [NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT],
    [
      NFTA_IMMEDIATE_DATA,
      [
        [
          NFTA_DATA_VERDICT,
          [
            [NFTA_VERDICT_CODE, code],
            [NFTA_VERDICT_CHAIN, chain],
          ],
        ],
      ],
    ],
  ],
})

/** The value a rule's step puts into a register; undefined for a verdict and for any other step. */
export const readImmediate = ({ name, attributes }: ReadExpression): Buffer | undefined =>
  name === 'immediate' ? readData(attributes.get(NFTA_IMMEDIATE_DATA)) : undefined

/** The chain a rule's step jumps or goes to; undefined for any other step. */
export const readTargetChain = ({ name, attributes }: ReadExpression): string | undefined => {
  const data = name === 'immediate' ? attributes.get(NFTA_IMMEDIATE_DATA) : undefined
  const verdict = data && readAttributes(data).get(NFTA_DATA_VERDICT)
  const chain = verdict && readAttributes(verdict).get(NFTA_VERDICT_CHAIN)
  return chain && readText(chain)
}
