/** SHA-512 without node:crypto, which loads fifty modules: streams, ciphers, certificates. */
import { sha512 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/** The SHA-512 of the UTF-8 form of `text`, in lower-case hex. */
export const sha512Hex = (text: string): string => bytesToHex(sha512(Buffer.from(text)))
