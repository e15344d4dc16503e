/** The registers that a rule of nftables works with: bytes of which some are not known. */

const size = 64

/** <linux/netfilter/nf_tables.h>, enum nft_registers: the old names of the first words, and the newer ones. */
const NFT_REG32_00 = 8

const offsetOf = (register: number): number =>
  register >= NFT_REG32_00 ? (register - NFT_REG32_00) * 4 : (register - 1) * 16

/** Bytes of a packet or of what the kernel knows of it; undefined where one is not known. */
export type Bytes = readonly (number | undefined)[]

/** The same byte, not known, so many times. */
export const unknownBytes = (count: number): Bytes => Array.from({ length: count }, () => undefined)

export class Registers {
  readonly #bytes: (number | undefined)[] = [...unknownBytes(size)]

  /** Puts bytes there, with zeros up to the end of the last word, as the kernel does. */
  set(register: number, bytes: Bytes): void {
    const start = offsetOf(register)
    const whole = (bytes.length + 3) & ~3
    for (let i = 0; i < whole; i++) this.#bytes[start + i] = i < bytes.length ? bytes[i] : 0
  }

  /** So many bytes of it; undefined if one of them is not known. */
  get(register: number, count: number): Buffer | undefined {
    const bytes = this.slice(register, count).filter(byte => byte !== undefined)
    return bytes.length === count ? Buffer.from(bytes) : undefined
  }

  /** So many bytes of it, those that are not known among them. */
  slice(register: number, count: number): Bytes {
    const start = offsetOf(register)
    return this.#bytes.slice(start, start + count)
  }

  /** Nothing is known of any of them from now on. */
  forgetAll(): void {
    this.#bytes.fill(undefined)
  }

  /** Nothing is known of what is there from now on. */
  forget(register: number): void {
    const start = offsetOf(register)
    for (let i = start; i < Math.min(start + 16, size); i++) this.#bytes[i] = undefined
  }
}
