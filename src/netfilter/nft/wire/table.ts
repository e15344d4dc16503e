import { readName } from './expression'
import {
  NFTNL_UDATA_COMMENT,
  type NftAttribute,
  type NftFamily,
  nftFamilyOf,
  putComment,
  putUserdata,
  readComment,
  readNftAttributes,
  readUserdata,
} from './message'

/** <linux/netfilter/nf_tables.h>, enum nft_table_attributes */
const NFTA_TABLE_NAME = 1
const NFTA_TABLE_USERDATA = 6

/** A table, which its family and its name make one together. */
export type NftTable = { readonly family: NftFamily; readonly name: string }

/** The table in messages: `table "inet kubenet"`. */
export const formatTable = ({ family, name }: NftTable): string => `table "${family} ${name}"`

/** A table as the kernel lists it. */
export type ReadTable = NftTable & { readonly comment: string }

// nfgenmsg
//   NFTA_TABLE_NAME (string)
//   NFTA_TABLE_USERDATA (userdata: comment)       Linux 5.9; ignored before
export const tableAttributes = (table: NftTable, comment?: string): NftAttribute[] => [
  [NFTA_TABLE_NAME, table.name],
  [NFTA_TABLE_USERDATA, putUserdata([[NFTNL_UDATA_COMMENT, putComment(comment)]])],
]

/** The table of an NFT_MSG_NEWTABLE; undefined for one of a family that the project has no use for. */
export const readTable = (body: Buffer): ReadTable | undefined => {
  const attributes = readNftAttributes(body)
  const family = nftFamilyOf(body[0] ?? 0)
  const userdata = readUserdata(attributes.get(NFTA_TABLE_USERDATA))
  return (
    family && {
      family,
      name: readName(attributes.get(NFTA_TABLE_NAME)),
      comment: readComment(userdata.get(NFTNL_UDATA_COMMENT)),
    }
  )
}
