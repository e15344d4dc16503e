/** The container's address that a rule of host ports in nftables is about, as the kernel lists it. */
import { addrFromBytes, formatAddr } from '../../../ip/addr'
import { NFT_PAYLOAD_NETWORK_HEADER, readCmpValue, readPayload } from '../../nft/wire/match'
import type { ReadRule } from '../../nft/wire/rule'
import { readImmediate } from '../../nft/wire/statement'

/** <linux/ip.h> and <linux/ipv6.h>: where the destination of a packet is. */
const destination4 = { offset: 16, bytes: 4 }
const destination6 = { offset: 24, bytes: 16 }

const isAddress = (value: Buffer | undefined): value is Buffer =>
  value?.length === destination4.bytes || value?.length === destination6.bytes

const format = (bytes: Buffer | undefined): string | undefined => {
  const addr = bytes && addrFromBytes(bytes)
  return addr && formatAddr(addr)
}

/** The address a rule leads to, or masquerades what is sent to; undefined for a rule that only marks. */
const addressOf = ({ expressions }: ReadRule): string | undefined => {
  const names = expressions.map(({ name }) => name)
  if (names.includes('nat')) return format(expressions.map(readImmediate).find(isAddress))
  if (!names.includes('masq')) return undefined
  const at = expressions.findIndex(expression => {
    const field = readPayload(expression)
    return (
      field?.base === NFT_PAYLOAD_NETWORK_HEADER &&
      [destination4, destination6].some(
        ({ offset, bytes }) => field.offset === offset && field.bytes === bytes,
      )
    )
  })
  const compared = expressions[at + 1]
  return at < 0 || !compared ? undefined : format(readCmpValue(compared))
}

/** A rule, and the address it is about. */
type AddressedRule = { readonly rule: ReadRule; readonly address: string | undefined }

/** The rules of one container in a chain. One that marks stands before the one that leads on, which tells its address. */
export const addressed = (rules: readonly ReadRule[]): AddressedRule[] => {
  let next: string | undefined
  return rules
    .toReversed()
    .map(rule => {
      next = addressOf(rule) ?? next
      return { rule, address: next }
    })
    .toReversed()
}
