/**
 * The names of chains and the comments of rules, as the reference makes them. They live in the kernel of every node
 * that runs either implementation, so they never change: an upgrade must find what was there before.
 */
import { platform } from '#platform'
import { type Attachment, hashOf, shortName } from './attachment'

/** XT_MAX_COMMENT_LEN (<linux/netfilter/xt_comment.h>) less the final NUL: bytes of a comment. */
const maxIptablesCommentBytes = 255

/** XT_EXTENSION_MAXNAMELEN (<linux/netfilter/x_tables.h>) less the final NUL: bytes of a chain's name. */
const maxIptablesChainBytes = 28

/** As much of an attachment as the rules of iptables name. */
type NamedContainer = Omit<Attachment, 'ifName'>

const chainPrefix = 'CNI-'

/** A chain of one container on one network: "CNI-", a prefix, and hex digits of sha512(network + containerID). */
export const containerChain = (network: string, containerID: string, prefix = ''): string =>
  `${chainPrefix}${prefix}${platform.sha512Hex(network + containerID)}`.slice(0, maxIptablesChainBytes)

/** Is it a chain that `containerChain` makes without a prefix? */
export const isMasqueradeChain = (chain: string): boolean => /^CNI-[0-9a-f]{24}$/.test(chain)

const writtenName = (network: string, containerID: string): string =>
  `name: "${network}" id: "${containerID}"`

/** The comment on each rule of a container: the network and the container, long names as hashes where there is no room. */
export const containerComment = (network: string, containerID: string): string => {
  const whole = writtenName(network, containerID)
  return whole.length <= maxIptablesCommentBytes
    ? whole
    : writtenName(shortName(network), shortName(containerID))
}

const parseNamed = (pattern: RegExp, comment: string): NamedContainer | undefined => {
  const [, network, containerID] = pattern.exec(comment) ?? []
  return network !== undefined && containerID !== undefined ? { network, containerID } : undefined
}

/** The network and container that a comment of `containerComment` names; undefined for any other comment. */
export const parseContainerComment = (comment: string): NamedContainer | undefined =>
  parseNamed(/^name: "([^"]*)" id: "([^"]*)"$/, comment)

/** The prefix of the names of chains that lead host ports to containers. */
export const dnatChainPrefix = `${chainPrefix}DN-`

/**
 * The names a chain of an attachment's host ports may have, the reference's first. That one has no interface in it:
 * where another interface of the container on this network has it, the second name is taken.
 */
export const dnatChains = (id: Attachment): [string, string] => [
  containerChain(id.network, id.containerID, 'DN-'),
  `${dnatChainPrefix}${hashOf(id)}`.slice(0, maxIptablesChainBytes),
]

/** The chains that portmap's containers share; DEL leaves them. */
export const hostportChains = {
  dnat: 'CNI-HOSTPORT-DNAT',
  setMark: 'CNI-HOSTPORT-SETMARK',
  masquerade: 'CNI-HOSTPORT-MASQ',
  /** Ours alone: keeps neighbours from 127.0.0.0/8, which route_localnet lets through. */
  localnet: 'CNI-HOSTPORT-LOCAL',
} as const

/** The comment on the rules that lead to a container's port mappings. */
export const hostportComment = (network: string, containerID: string): string => {
  const comment = `dnat name: "${network}" id: "${containerID}"`
  return comment.length <= maxIptablesCommentBytes
    ? comment
    : `${comment.slice(0, maxIptablesCommentBytes - 3)}...`
}

/** The network and container that a comment of `hostportComment` names; undefined for any other comment. */
export const parseHostportComment = (comment: string): NamedContainer | undefined =>
  parseNamed(/^dnat name: "([^"]*)" id: "([^"]*)"$/, comment)

/** The network in the comment on a rule that leads to a container's chain, also where that was shortened. */
export const networkOfHostportComment = (comment: string): string | undefined =>
  /^dnat name: "([^"]*)" id: "/.exec(comment)?.[1]
