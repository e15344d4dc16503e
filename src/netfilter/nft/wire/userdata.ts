/**
 * The notes that nft keeps beside its objects. The kernel stores and returns them unread; their form is libnftnl's
 * (libnftnl/udata.h): one after the other a type, a length and as many bytes, unaligned, of at most 256 bytes in all.
 *
 *   __u8 type                                     0
 *   __u8 len                                      1
 *   __u8 value[len]                               2
 */
import { maxNftCommentBytes } from '../../../attachment/limits'

/** enum nftnl_udata_table_types, …_chain_types, …_rule_types and …_set_elem_types: the same number in each. */
export const NFTNL_UDATA_COMMENT = 0
/** enum nftnl_udata_set_types */
export const NFTNL_UDATA_SET_KEYBYTEORDER = 0
export const NFTNL_UDATA_SET_DATABYTEORDER = 1
export const NFTNL_UDATA_SET_COMMENT = 7
/** enum nftnl_udata_set_elem_types */
export const NFTNL_UDATA_SET_ELEM_FLAGS = 1
/** The interval reaches to the end of the address space, where an end element would wrap around. */
export const NFTNL_SET_ELEM_F_INTERVAL_OPEN = 1

type Note = readonly [type: number, value: Uint8Array | undefined]

/** The userdata that holds these notes, those that are undefined left out; undefined if none is left. */
export const putUserdata = (notes: readonly Note[]): Buffer | undefined => {
  const parts: Uint8Array[] = []
  for (const [type, value] of notes) {
    if (value) parts.push(Uint8Array.of(type, value.length), value)
  }
  return parts.length > 0 ? Buffer.concat(parts) : undefined
}

/** The notes by type; a note that is cut off ends the reading, for nobody vouches for what others wrote there. */
export const readUserdata = (userdata: Buffer | undefined): Map<number, Buffer> => {
  const notes = new Map<number, Buffer>()
  if (!userdata) return notes
  for (let at = 0; at + 2 <= userdata.length; ) {
    const [type = 0, length = 0] = userdata.subarray(at, at + 2)
    const end = at + 2 + length
    if (end > userdata.length) break
    notes.set(type, userdata.subarray(at + 2, end))
    at = end
  }
  return notes
}

/** A comment's note: UTF-8 and a NUL. Throws a RangeError for what nft could not show whole. */
export const putComment = (comment: string | undefined): Buffer | undefined => {
  if (comment === undefined) return undefined
  const bytes = Buffer.from(`${comment}\0`)
  if (bytes.length - 1 > maxNftCommentBytes) {
    throw new RangeError(`nftables comment of ${bytes.length - 1} bytes: more than ${maxNftCommentBytes}`)
  }
  if (comment.includes('\0')) throw new RangeError('nftables comment with a NUL')
  return bytes
}

/** The text of a comment's note; "" if there is none. */
export const readComment = (note: Buffer | undefined): string => {
  if (!note) return ''
  const end = note.indexOf(0)
  return note.toString('utf8', 0, end < 0 ? note.length : end)
}
