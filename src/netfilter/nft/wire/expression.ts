import {
  type Attributes,
  type NftAttribute,
  readAttributeList,
  readAttributes,
  readText,
} from '../../../netlink/wire/message'

/** <linux/netfilter/nf_tables.h>, enum nft_list_attributes, nft_expr_attributes, nft_data_attributes */
export const NFTA_LIST_ELEM = 1
const NFTA_EXPR_NAME = 1
const NFTA_EXPR_DATA = 2
const NFTA_DATA_VALUE = 1
export const NFTA_DATA_VERDICT = 2

/** The name of a thing that cannot be without. Throws if it is missing. */
export const readName = (value: Buffer | undefined): string => {
  if (!value) throw new Error('Missing name')
  return readText(value)
}

/** One step of a rule, such as "load meta mark into register 1", to send. */
export type Expression = { readonly name: string; readonly attributes: readonly NftAttribute[] }

/** One step of a rule as the kernel lists it: its NFTA_<NAME>_* attributes by type. */
export type ReadExpression = { readonly name: string; readonly attributes: Attributes }

// NFTA_RULE_EXPRESSIONS (nest)
//   NFTA_LIST_ELEM (nest), one for each expression
//     NFTA_EXPR_NAME (string)
//     NFTA_EXPR_DATA (nest of the expression's own attributes)
export const putExpressions = (expressions: readonly Expression[]): NftAttribute[] =>
  expressions.map(({ name, attributes }) => [
    NFTA_LIST_ELEM,
    [
      [NFTA_EXPR_NAME, name],
      [NFTA_EXPR_DATA, attributes],
    ],
  ])

/** The expressions in the nest of NFTA_RULE_EXPRESSIONS. Throws on a length that cannot be. */
export const readExpressions = (nest: Buffer | undefined): ReadExpression[] =>
  readAttributeList(nest ?? Buffer.alloc(0)).map(({ value }) => {
    const expression = readAttributes(value)
    return {
      name: readName(expression.get(NFTA_EXPR_NAME)),
      attributes: readAttributes(expression.get(NFTA_EXPR_DATA) ?? Buffer.alloc(0)),
    }
  })

// nft_data (nest)
//   NFTA_DATA_VALUE (bytes, as they stand in the register)
export const putData = (value: Uint8Array): NftAttribute[] => [[NFTA_DATA_VALUE, value]]

/** The bytes in a nest of nft_data; undefined for a missing one or a verdict. */
export const readData = (nest: Buffer | undefined): Buffer | undefined =>
  nest && readAttributes(nest).get(NFTA_DATA_VALUE)

/** <linux/netfilter/nf_tables.h>, enum nft_registers: where one expression leaves what the next one takes. */
export const NFT_REG_VERDICT = 0
export const NFT_REG_1 = 1
export const NFT_REG_2 = 2
const NFT_REG32_00 = 8

const wordsPerRegister = 4

/** How many bytes a value takes up in registers and concatenations: whole 32-bit words. */
export const registerBytes = (bytes: number): number => (bytes + 3) & ~3

/**
 * The register `offset` bytes into the register file, which is 16 words long: by its old name where one of the four
 * 16-byte registers begins there, as nft writes it, else NFT_REG32_00 and up.
 */
export const registerAt = (offset: number): number => {
  const word = offset / 4
  return word % wordsPerRegister === 0 ? NFT_REG_1 + word / wordsPerRegister : NFT_REG32_00 + word
}
