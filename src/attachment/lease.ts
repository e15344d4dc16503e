/** What a lease of host-local says: the reference's format, which names no network. That is the folder's name. */
import { platform } from '#platform'

/** Whose a lease is. A lease of an old version of the reference has no `ifName`. */
export type LeaseOwner = { readonly containerID: string; readonly ifName: string | undefined }

const lineBreak = '\r\n'

const keyDigits = 24

/** What a lease file holds: the container's ID and the interface's name, with no line break at the end. */
export const formatLease = ({ containerID, ifName }: LeaseOwner): string =>
  ifName === undefined ? containerID : `${containerID}${lineBreak}${ifName}`

/** The owner a lease file names; undefined for one that a crash left empty. The reference trims it, too. */
export const parseLease = (content: string): LeaseOwner | undefined => {
  // After a power cut some file systems show a file of the right length, all zeros.
  const text = content.replaceAll('\0', '').trim()
  if (text === '') return undefined
  const at = text.indexOf(lineBreak)
  if (at < 0) return { containerID: text, ifName: undefined }
  return { containerID: text.slice(0, at), ifName: text.slice(at + lineBreak.length) }
}

/** The name of the record beside the leases of an owner, whose folder is the network's. */
export const leaseKeyOf = ({ containerID, ifName = '' }: LeaseOwner): string =>
  platform.sha512Hex(`${containerID}${lineBreak}${ifName}`).slice(0, keyDigits)
