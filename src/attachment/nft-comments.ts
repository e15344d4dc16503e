/**
 * The comments by which rules and elements of nftables say whose they are. They live in the kernel of every node, and
 * three of the four are the reference's, so they never change.
 */
import { platform } from '#platform'
import type { Attachment, InterfaceID } from './attachment'

/** NFTNL_UDATA_COMMENT_MAXLEN (libnftnl/udata.h): the longest comment of a rule or element in bytes of UTF-8. */
export const maxNftCommentBytes = 128

const hashed = (text: string, digits: number): string => platform.sha512Hex(text).slice(0, digits)

/** As much of a text as a comment holds. */
const cut = (text: string): string => {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxNftCommentBytes) return text
  // An interface's name may have characters of several bytes: one that is cut in two is left out.
  return bytes
    .subarray(0, maxNftCommentBytes)
    .toString()
    .replace(/\ufffd+$/, '')
}

const masqueradeDigits = 16

/** The prefix of the comments of a network's masquerade rules. */
export const masqueradeNetworkPrefix = (network: string): string => `${hashed(network, masqueradeDigits)}-`

/** How long the beginning of a masquerade rule's comment is that tells attachments apart: two hashes and a dash. */
export const masqueradePrefixLength = 2 * masqueradeDigits + 1

/** The prefix of the comments of an attachment's masquerade rules. */
export const masqueradePrefix = ({ network, containerID, ifName }: Attachment): string =>
  `${masqueradeNetworkPrefix(network)}${hashed(`${ifName}:${containerID}`, masqueradeDigits)}`

/** The comment on an attachment's masquerade rules: "<hash>-<hash>, net: net, if: eth0, id: c1", as far as it fits. */
export const masqueradeComment = (id: Attachment): string =>
  cut(
    `${masqueradePrefix(id)}, net: ${id.network}, if: ${id.ifName}, id: ${id.containerID}`.replaceAll(
      '"',
      '',
    ),
  )

/** The attachment a comment of `masqueradeComment` names; undefined for another, or one that was cut off. */
export const parseMasqueradeComment = (comment: string): Attachment | undefined => {
  const [, network, ifName, containerID] = /, net: ([^,]*), if: ([^,]*), id: (.*)$/.exec(comment) ?? []
  if (network === undefined || ifName === undefined || !containerID) return undefined
  const id = { network, containerID, ifName }
  return comment.startsWith(masqueradePrefix(id)) ? id : undefined
}

const portHashDigits = 24

/**
 * The comment on the rules of a container's host ports: its ID, which the reference looks for too, or a hash for the
 * end of a long one. It names neither network nor interface.
 */
export const portComment = (containerID: string): string => {
  if (containerID.length <= maxNftCommentBytes) return containerID
  const beginning = containerID.slice(0, maxNftCommentBytes - portHashDigits - 1)
  return `${beginning}~${hashed(containerID, portHashDigits)}`
}

/** The prefix of the comments on the rules against spoofed MACs. */
export const spoofCheckPrefix = 'macspoofchk-'

const longestInChain = 200

/** A long name as the names of chains and sets have it that have no room for it: nft reads no colon there. */
export const nameInNft = (name: string): string =>
  name.length <= longestInChain ? name : `sha512-${hashed(name, 64)}`

/** An interface as the comments and chains of its check against spoofed MACs name it, whatever its network. */
export const spoofCheckRef = ({ containerID, ifName }: InterfaceID): string =>
  `${nameInNft(containerID)}-${ifName}`

/** The comment on the rules of the check that `spoofCheckRef` names. */
export const spoofCheckComment = (ref: string): string => {
  const comment = `${spoofCheckPrefix}${ref}`
  return Buffer.byteLength(comment) <= maxNftCommentBytes
    ? comment
    : `${spoofCheckPrefix}sha512-${hashed(ref, 64)}`
}

/** The same as older versions wrote it, which cut off what had no room: interfaces of one container had the same. */
export const cutSpoofCheckComment = (ref: string): string => cut(`${spoofCheckPrefix}${ref}`)

const elementMark = '#'
const elementDigits = 40

/**
 * The comment on an attachment's elements: "<network> <containerID> <ifname>". Where that is longer than a comment
 * may be, the last two are a hash, which still tells attachments and networks apart.
 */
export const elementComment = ({ network, containerID, ifName }: Attachment): string => {
  const comment = `${network} ${containerID} ${ifName}`
  if (Buffer.byteLength(comment) <= maxNftCommentBytes) return comment
  const hash = hashed(comment, elementDigits)
  return `${network.slice(0, longestElementNetwork)} ${elementMark}${hash}`
}

/** How much of a network's name there is room for beside a hash. */
const longestElementNetwork = maxNftCommentBytes - elementDigits - 2

/** Has the comment a hash in it? Then it has only the beginning of a long network's name, which another may share. */
export const isElementHashed = (comment: string): boolean =>
  comment.split(' ')[1]?.startsWith(elementMark) === true

/** Is it the comment of an attachment of this network, or, where it is hashed, of one whose name begins alike? */
export const isElementOn = (comment: string, network: string): boolean => {
  const [name = '', next = ''] = comment.split(' ')
  return name === (next.startsWith(elementMark) ? network.slice(0, longestElementNetwork) : network)
}

/** The attachment that a comment names; undefined for one that was shortened, or that is not ours. */
export const parseElementComment = (comment: string): Attachment | undefined => {
  const [network, containerID, ifName, ...rest] = comment.split(' ')
  if (!network || !containerID || !ifName || rest.length > 0) return undefined
  return { network, containerID, ifName }
}
