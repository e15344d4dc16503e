/**
 * The veth pair of an attachment. Its host end is named after the attachment and carries it in its alias, so that
 * GC and people find out whose it is; until it does, it is in a group of its own that marks it as half made.
 */
import { platform } from '#platform'
import { CniError, ErrorCode } from '../../src/cni/error'
import type { Undo } from '../../src/host/undo'
import type { Mac } from '../../src/ip/mac'
import { NetlinkError } from '../../src/netlink/error'
import { bridgePortSet, type Link, linkByName, linkDel, vethAdd } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { Netns } from '../../src/netns/netns'

/** What identifies an attachment on a host. */
export type AttachmentID = { readonly network: string; readonly containerID: string; readonly ifName: string }

const namePrefix = 'veth'
const nameDigits = 8
const attempts = 10

/** The IFLA_GROUP of a veth that is being made; a finished one is in the default group, 0. */
export const halfMadeGroup = 0x6b6e

const aliasPrefix = 'cni'

/** The alias of a host veth: "cni <network> <containerID> <ifname>". None of the three can hold a blank. */
export const formatAlias = ({ network, containerID, ifName }: AttachmentID): string =>
  `${aliasPrefix} ${network} ${containerID} ${ifName}`

/** The attachment an alias names; undefined for an alias that is not ours. */
export const parseAlias = (alias: string): AttachmentID | undefined => {
  const [prefix, network, containerID, ifName, ...rest] = alias.split(' ')
  if (prefix !== aliasPrefix || !network || !containerID || !ifName || rest.length > 0) return undefined
  return { network, containerID, ifName }
}

/** The name of an attachment's host veth: the same for every ADD, unless another interface has it. */
export const hostVethName = ({ containerID, ifName }: AttachmentID, attempt = 0): string => {
  const again = attempt === 0 ? '' : `\n${attempt}`
  return namePrefix + platform.sha512Hex(`${containerID}\n${ifName}${again}`).slice(0, nameDigits)
}

/** Where an attachment's veth goes and what its port may do. */
export type VethRequest = {
  readonly id: AttachmentID
  readonly netns: Netns
  readonly bridge: Link
  readonly mtu: number
  readonly containerMac: Mac
  readonly hostMac: Mac
  readonly hairpin: boolean
  readonly isolated: boolean
}

const nameTaken = (request: VethRequest, hostName: string, cause: NetlinkError): CniError =>
  new CniError(
    ErrorCode.internal,
    `container veth name ("${request.id.ifName}") peer provided ("${hostName}") already exists`,
    {
      details: `in netns "${request.netns.path}" there is an interface "${request.id.ifName}"; ${cause.details}`,
    },
  )

/**
 * Creates the pair, the container's end in its namespace under its final name, and makes the host's end a port of
 * the bridge. Answers the host's end.
 */
export const attachVeth = (nl: NetlinkSocket, request: VethRequest, undo: Undo): Link => {
  const { id, bridge, hairpin, isolated } = request
  const name = createPair(nl, request)
  undo.add(`delete "${name}"`, () =>
    withNetlink(NETLINK_ROUTE, again => {
      const link = linkByName(again, name)
      if (link) linkDel(again, link)
    }),
  )
  const host = linkByName(nl, name)
  if (!host) throw new CniError(ErrorCode.internal, `interface "${name}" vanished while it was being set up`)
  bridgePortSet(nl, host, {
    alias: formatAlias(id),
    group: 0,
    ...(hairpin && { hairpin }),
    ...(isolated && { isolated }),
  })
  if (host.master === bridge.index) return host
  throw new CniError(
    ErrorCode.internal,
    `"${name}" was taken out of bridge "${bridge.name}" while it was set up`,
  )
}

/** Creates the veth pair under a name that is free, and answers the name of the host's end. */
const createPair = (nl: NetlinkSocket, request: VethRequest): string => {
  const { id, netns, bridge, mtu } = request
  for (let attempt = 0; ; attempt++) {
    const name = hostVethName(id, attempt)
    try {
      vethAdd(nl, {
        host: { name, mac: request.hostMac, mtu, master: bridge.index, group: halfMadeGroup },
        peer: { name: id.ifName, mac: request.containerMac, mtu, netnsFd: netns.fd },
      })
      return name
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error
      const taken = linkByName(nl, name)
      // It is the container's end whose name is taken.
      if (!taken || attempt >= attempts) throw nameTaken(request, name, error)
      if (isLeftover(taken, request)) linkDel(nl, taken)
    }
  }
}

/** Is it what a killed ADD of this very attachment left, or a pair whose container got a new namespace? */
const isLeftover = (link: Link, { id }: VethRequest): boolean =>
  link.kind === 'veth' && (link.group === halfMadeGroup || link.alias === formatAlias(id))
