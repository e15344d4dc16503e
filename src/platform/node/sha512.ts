import { call } from './calls'

const digits = 128

/** The SHA-512 of the UTF-8 form of `text`, in lower-case hex. Not by node:crypto, which loads fifty modules. */
export const sha512Hex = (text: string): string => {
  const bytes = Buffer.from(text)
  const hex = Buffer.alloc(digits)
  call('sha512', bytes, bytes.length, hex)
  return hex.toString('latin1')
}
