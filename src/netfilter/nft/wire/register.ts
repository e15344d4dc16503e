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
