/** Whose a lease is. A lease of an old version of the reference has no `ifName`. */
export type Owner = { readonly containerID: string; readonly ifName: string | undefined }

const lineBreak = '\r\n'

/** What a lease file holds: the container's ID and the interface's name, with no line break at the end. */
export const formatLease = ({ containerID, ifName }: Owner): string =>
  ifName === undefined ? containerID : `${containerID}${lineBreak}${ifName}`

/** The owner a lease file names; undefined for one that a crash left empty. The reference trims it, too. */
export const parseLease = (content: string): Owner | undefined => {
  // After a power cut some file systems show a file of the right length, all zeros.
  const text = content.replaceAll('\0', '').trim()
  if (text === '') return undefined
  const at = text.indexOf(lineBreak)
  if (at < 0) return { containerID: text, ifName: undefined }
  return { containerID: text.slice(0, at), ifName: text.slice(at + lineBreak.length) }
}
