/** The expressions by which a rule looks at a packet and at what the kernel knows of it. */
import { readText, readU32be } from '../../../netlink/wire/message'
import { type Expression, putData, type ReadExpression, readData } from './expression'

/** A step that loads something: what, by a number of its kind, and the register it goes to. */
type ReadLoad = { readonly key: number; readonly dreg: number }

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
export const readPayload = ({
  name,
  attributes,
}: ReadExpression): (PayloadField & { readonly dreg: number }) | undefined => {
  if (name !== 'payload') return undefined
  const [base, offset, bytes, dreg] = [
    NFTA_PAYLOAD_BASE,
    NFTA_PAYLOAD_OFFSET,
    NFTA_PAYLOAD_LEN,
    NFTA_PAYLOAD_DREG,
  ].map(type => readU32be(attributes.get(type)))
  return base === undefined || offset === undefined || bytes === undefined || dreg === undefined
    ? undefined
    : { base, offset, bytes, dreg }
}

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

/** What a rule's step of `kind` loads, by the numbers of its attributes; undefined for any other step. */
const readLoad = (
  { name, attributes }: ReadExpression,
  kind: string,
  type: { readonly key: number; readonly dreg: number },
): ReadLoad | undefined => {
  if (name !== kind) return undefined
  const [key, dreg] = [type.key, type.dreg].map(at => readU32be(attributes.get(at)))
  return key === undefined || dreg === undefined ? undefined : { key, dreg }
}

/** The fact of a packet that a rule's step loads, one of NFT_META_*; undefined for a step that sets one. */
export const readMeta = (step: ReadExpression): ReadLoad | undefined =>
  readLoad(step, 'meta', { key: NFTA_META_KEY, dreg: NFTA_META_DREG })

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

/** <linux/netfilter/nf_tables.h>, enum nft_ct_keys and nft_ct_attributes */
export const NFT_CT_STATE = 0
export const NFT_CT_STATUS = 2
const NFTA_CT_DREG = 1
const NFTA_CT_KEY = 2
const NFTA_CT_SREG = 4

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

/** The fact of a connection that a rule's step loads, one of NFT_CT_*. */
export const readCt = (step: ReadExpression): ReadLoad | undefined =>
  readLoad(step, 'ct', { key: NFTA_CT_KEY, dreg: NFTA_CT_DREG })

/** Does a step set a fact of the packet or of its connection, such as its mark? */
export const isSetting = ({ name, attributes }: ReadExpression): boolean =>
  (name === 'meta' && attributes.get(NFTA_META_SREG) !== undefined) ||
  (name === 'ct' && attributes.get(NFTA_CT_SREG) !== undefined)

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

/** <linux/netfilter/nf_tables.h>, enum nft_bitwise_attributes */
const NFTA_BITWISE_SREG = 1
const NFTA_BITWISE_DREG = 2
const NFTA_BITWISE_LEN = 3
const NFTA_BITWISE_MASK = 4
const NFTA_BITWISE_XOR = 5
const NFTA_BITWISE_OP = 6

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

/** The mask and the bits that a rule's step applies from one register to another; undefined for a step that shifts. */
export const readBitwise = ({ name, attributes }: ReadExpression) => {
  if (name !== 'bitwise' || readU32be(attributes.get(NFTA_BITWISE_OP))) return undefined
  const [sreg, dreg] = [NFTA_BITWISE_SREG, NFTA_BITWISE_DREG].map(type => readU32be(attributes.get(type)))
  const [mask, xor] = [NFTA_BITWISE_MASK, NFTA_BITWISE_XOR].map(type => readData(attributes.get(type)))
  return sreg === undefined || dreg === undefined || !mask || !xor ? undefined : { sreg, dreg, mask, xor }
}

/** <linux/netfilter/nf_tables.h>, enum nft_cmp_ops and nft_cmp_attributes */
export const NFT_CMP_EQ = 0
export const NFT_CMP_NEQ = 1
export const NFT_CMP_LT = 2
export const NFT_CMP_LTE = 3
export const NFT_CMP_GT = 4
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

/** The register, the way and the value of a rule's comparison; undefined for a step that is none. */
export const readCmp = ({ name, attributes }: ReadExpression) => {
  if (name !== 'cmp') return undefined
  const [sreg, op] = [NFTA_CMP_SREG, NFTA_CMP_OP].map(type => readU32be(attributes.get(type)))
  const value = readData(attributes.get(NFTA_CMP_DATA))
  return sreg === undefined || op === undefined || !value ? undefined : { sreg, op, value }
}

/** <linux/netfilter/nf_tables.h>, enum nft_range_attributes; NFT_RANGE_NEQ is 1. */
const NFTA_RANGE_SREG = 1
const NFTA_RANGE_OP = 2
const NFTA_RANGE_FROM_DATA = 3
const NFTA_RANGE_TO_DATA = 4

// "range"                                         ends the rule unless the register is in the range, or with NEQ if it is
//   NFTA_RANGE_SREG, NFTA_RANGE_OP (be32)
//   NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA (nft_data)
export const readRange = ({ name, attributes }: ReadExpression) => {
  if (name !== 'range') return undefined
  const sreg = readU32be(attributes.get(NFTA_RANGE_SREG))
  const [from, to] = [NFTA_RANGE_FROM_DATA, NFTA_RANGE_TO_DATA].map(type => readData(attributes.get(type)))
  const isInverse = readU32be(attributes.get(NFTA_RANGE_OP)) === 1
  return sreg === undefined || !from || !to ? undefined : { sreg, from, to, isInverse }
}

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

/** The set that a rule's step looks a register up in, and where a map's data goes; undefined for any other step. */
export const readLookup = ({ name, attributes }: ReadExpression) => {
  const sreg = readU32be(attributes.get(NFTA_LOOKUP_SREG))
  const set = attributes.get(NFTA_LOOKUP_SET)
  if (name !== 'lookup' || sreg === undefined || !set) return undefined
  const isInverse = (readU32be(attributes.get(NFTA_LOOKUP_FLAGS)) ?? 0) === NFT_LOOKUP_F_INV
  return { sreg, set: readText(set), dreg: readU32be(attributes.get(NFTA_LOOKUP_DREG)), isInverse }
}
