/** The expressions by which a rule does something: verdicts, values that it loads, address translation. */
import { readAttributes, readText, readU32be } from '../../../netlink/wire/message'
import {
  type Expression,
  NFT_REG_VERDICT,
  NFTA_DATA_VERDICT,
  putData,
  type ReadExpression,
  readData,
} from './expression'

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

/** A verdict: one of NF_* and NFT_*, and the chain of a jump. */
export type ReadVerdict = { readonly code: number; readonly chain: string }

/** The verdict in a nest of nft_data; undefined for bytes. */
export const readVerdictData = (nest: Buffer | undefined): ReadVerdict | undefined => {
  const verdict = nest && readAttributes(nest).get(NFTA_DATA_VERDICT)
  if (!verdict) return undefined
  const attributes = readAttributes(verdict)
  const chain = attributes.get(NFTA_VERDICT_CHAIN)
  return {
    code: (readU32be(attributes.get(NFTA_VERDICT_CODE)) ?? 0) | 0,
    chain: chain ? readText(chain) : '',
  }
}

/** The verdict that a rule's step gives; undefined for any other step. */
export const readVerdict = ({ name, attributes }: ReadExpression): ReadVerdict | undefined =>
  name === 'immediate' ? readVerdictData(attributes.get(NFTA_IMMEDIATE_DATA)) : undefined

/** The value a rule's step puts into a register; undefined for a verdict and for any other step. */
export const readImmediate = ({ name, attributes }: ReadExpression): Buffer | undefined =>
  name === 'immediate' ? readData(attributes.get(NFTA_IMMEDIATE_DATA)) : undefined

/** The chain a rule's step jumps or goes to; undefined for any other step. */
export const readTargetChain = (step: ReadExpression): string | undefined => {
  const { chain } = readVerdict(step) ?? {}
  return chain || undefined
}

/** <linux/netfilter/nf_tables.h>, enum nft_nat_types and nft_nat_attributes */
export const NFT_NAT_DNAT = 1
const NFTA_NAT_TYPE = 1
const NFTA_NAT_FAMILY = 2
const NFTA_NAT_REG_ADDR_MIN = 3
const NFTA_NAT_REG_PROTO_MIN = 5
const NFTA_NAT_FLAGS = 7
const NFTA_MASQ_FLAGS = 1

/** <linux/netfilter/nf_nat.h> */
export const NF_NAT_RANGE_PROTO_SPECIFIED = 1 << 1
export const NF_NAT_RANGE_PROTO_RANDOM = 1 << 2
export const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 1 << 4

type Nat = {
  type: number
  /** NFPROTO_IPV4 or NFPROTO_IPV6. */
  nfproto: number
  addrRegister: number
  portRegister?: number | undefined
  flags?: number
}

// "nat"
//   NFTA_NAT_TYPE (be32)
//   NFTA_NAT_FAMILY (be32)
//   NFTA_NAT_REG_ADDR_MIN (be32)                  the register with the address
//   NFTA_NAT_REG_PROTO_MIN (be32)                 the register with the port; absent for none
//   NFTA_NAT_FLAGS (be32)                         NF_NAT_RANGE_*; absent for none
export const nat = ({ type, nfproto, addrRegister, portRegister, flags }: Nat): Expression => ({
  name: 'nat',
  attributes: [
    [NFTA_NAT_TYPE, type],
    [NFTA_NAT_FAMILY, nfproto],
    [NFTA_NAT_REG_ADDR_MIN, addrRegister],
    [NFTA_NAT_REG_PROTO_MIN, portRegister],
    [NFTA_NAT_FLAGS, flags || undefined],
  ],
})

// "masq"
//   NFTA_MASQ_FLAGS (be32)                        NF_NAT_RANGE_*; absent for none
export const masq = (flags: number): Expression => ({
  name: 'masq',
  attributes: [[NFTA_MASQ_FLAGS, flags || undefined]],
})
