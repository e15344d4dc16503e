import { readU32be } from '../../../netlink/wire/attributes'
import type { Expression, ReadExpression } from './expression'

/** <linux/netfilter/nf_tables.h>, enum nft_payload_bases and nft_payload_attributes */
export const NFT_PAYLOAD_LL_HEADER = 0
export const NFT_PAYLOAD_NETWORK_HEADER = 1
export const NFT_PAYLOAD_TRANSPORT_HEADER = 2
const NFTA_PAYLOAD_DREG = 1
const NFTA_PAYLOAD_BASE = 2
const NFTA_PAYLOAD_OFFSET = 3
const NFTA_PAYLOAD_LEN = 4

/** `bytes` of a packet from `offset` on, counted from the start of one of its headers. */
type PayloadField = { readonly base: number; readonly offset: number; readonly bytes: number }

// "payload"
//   NFTA_PAYLOAD_DREG (be32)
//   NFTA_PAYLOAD_BASE (be32)
//   NFTA_PAYLOAD_OFFSET (be32)
//   NFTA_PAYLOAD_LEN (be32)
export const payloadLoad = ({ base, offset, bytes }: PayloadField, dreg: number): Expression => ({
  name: 'payload',
  attributes: [
    [NFTA_PAYLOAD_DREG, dreg],
    [NFTA_PAYLOAD_BASE, base],
    [NFTA_PAYLOAD_OFFSET, offset],
    [NFTA_PAYLOAD_LEN, bytes],
  ],
})

/** The part of a packet that a rule's step loads; undefined for a step that loads none. */
export const readPayload = ({ name, attributes }: ReadExpression): PayloadField | undefined => {
  if (name !== 'payload') return undefined
  const [base, offset, bytes] = [NFTA_PAYLOAD_BASE, NFTA_PAYLOAD_OFFSET, NFTA_PAYLOAD_LEN].map(type =>
    readU32be(attributes.get(type)),
  )
  return base === undefined || offset === undefined || bytes === undefined
    ? undefined
    : { base, offset, bytes }
}
