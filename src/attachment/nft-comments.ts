import { platform } from '#platform'
import { maxCommentBytes } from '../netfilter/nft/wire/userdata'

/** Whose an element of the ruleset is. */
export type Owner = { readonly network: string; readonly containerID: string; readonly ifName: string }

const shortened = '#'

/**
 * The comment on an attachment's elements: "<network> <containerID> <ifname>". Where that is longer than a comment
 * may be, the last two are a hash, which still tells attachments and networks apart.
 */
export const ownerComment = ({ network, containerID, ifName }: Owner): string => {
  const comment = `${network} ${containerID} ${ifName}`
  if (Buffer.byteLength(comment) <= maxCommentBytes) return comment
  const hash = platform.sha512Hex(comment).slice(0, 40)
  return `${network.slice(0, maxCommentBytes - hash.length - 2)} ${shortened}${hash}`
}

/** Is it the comment of an attachment of this network? */
export const isOfNetwork = (comment: string, network: string): boolean => {
  const [name = '', next = ''] = comment.split(' ')
  return next.startsWith(shortened) ? network.startsWith(name) : name === network
}

/** The attachment that a comment names; undefined for one that was shortened, or that is not ours. */
export const parseOwner = (comment: string): Owner | undefined => {
  const [network, containerID, ifName, ...rest] = comment.split(' ')
  if (!network || !containerID || !ifName || rest.length > 0) return undefined
  return { network, containerID, ifName }
}
