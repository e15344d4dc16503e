/**
 * The alias of a host veth, by which people and programs find out whose it is. It lives in the kernel of every node,
 * so it never changes.
 */

/** What identifies an attachment on a host. */
export type AttachmentID = { readonly network: string; readonly containerID: string; readonly ifName: string }

const prefix = 'cni'

/** The alias of a host veth: "cni <network> <containerID> <ifname>". None of the three can hold a blank. */
export const formatAlias = ({ network, containerID, ifName }: AttachmentID): string =>
  `${prefix} ${network} ${containerID} ${ifName}`

/** The attachment an alias names; undefined for an alias that is not ours. */
export const parseAlias = (alias: string): AttachmentID | undefined => {
  const [first, network, containerID, ifName, ...rest] = alias.split(' ')
  if (first !== prefix || !network || !containerID || !ifName || rest.length > 0) return undefined
  return { network, containerID, ifName }
}
