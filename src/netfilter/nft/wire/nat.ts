import type { Expression } from './expression'

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
