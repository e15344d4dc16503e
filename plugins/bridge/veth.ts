/**
 * The veth pair of an attachment. Its host end is named after the attachment and carries it in its alias, so that
 * GC and people find out whose it is; until it does, it is in a group of its own that marks it as half made.
 */
import { platform } from '#platform'
import type { Attachment } from '../../src/attachment/attachment'
import {
  defaultVethPrefix,
  formatAlias,
  hostVethName,
  isAliasOf,
  longestVethPrefix,
} from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { disableIPv6 } from '../../src/host/sysctl'
import { isFrom, type SystemError } from '../../src/host/system-error'
import type { Undo } from '../../src/host/undo'
import { addrBytes } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { formatMac, type Mac, macFromHash, parseMac } from '../../src/ip/mac'
import { bridgePortSet, type Link, linkByName, linkDel, linkSet, vethAdd } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { insideNetns, type Netns } from '../../src/netns/netns'
import type { BridgeConf } from './config'

const attempts = 10

/** The IFLA_GROUP of a veth that is being made; a finished one is in the default group, 0. */
export const halfMadeGroup = 0x6b6e

/** The alias of the bridge's port that leads to the interface with the gateways of a VLAN. */
export const gatewayAlias = (vlanInterface: string): string => `gateway ${vlanInterface}`

/** Is it such a port of the bridge? */
export const isGatewayPort = ({ alias }: Link, bridge: Link): boolean =>
  alias.startsWith(gatewayAlias(`${bridge.name}.`))

/**
 * The MAC of a bridge's port, made from hex digits. It is as high as MACs go: a bridge that has none of its own takes
 * over the lowest of its ports', and must not take this one.
 */
export const portMac = (hex: string): Mac => formatMac(Buffer.from(`fe${hex.slice(0, 10)}`, 'hex'))

/**
 * The host's end of an attachment's veth, whatever its name had to be; undefined if there is none. Looks for names
 * that begin with `prefix`, and for those that begin as they do without a configured one.
 */
export const findHostVeth = (nl: NetlinkSocket, id: Attachment, prefix: string): Link | undefined => {
  // No interface has a name that the kernel refuses.
  const prefixes = new Set([prefix, defaultVethPrefix].filter(isVethPrefix))
  for (const one of prefixes) {
    for (let attempt = 0; attempt <= attempts; attempt++) {
      const link = linkByName(nl, hostVethName(id, attempt, one))
      if (link?.kind === 'veth' && isAliasOf(link.alias, id)) return link
    }
  }
  return undefined
}

/** Can the names of interfaces begin with it? */
export const isVethPrefix = (text: string): boolean =>
  text.length <= longestVethPrefix && /^[a-zA-Z0-9_.-]+$/.test(text)

/** Where an attachment's veth goes and what its port may do. */
type VethRequest = {
  readonly id: Attachment
  readonly netns: Netns
  readonly bridge: Link
  readonly mtu: number
  readonly containerMac: Mac
  readonly hostMac: Mac
  readonly namePrefix: string
  readonly hairpin: boolean
  readonly isolated: boolean
}

const nameTaken = (request: VethRequest, hostName: string, cause: SystemError): CniError =>
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
export const setUpVeth = (nl: NetlinkSocket, request: VethRequest, undo: Undo): Link => {
  const { id, bridge, hairpin, isolated } = request
  const { name, made } = createPair(nl, request)
  undo.add(`delete "${name}"`, () => takeDownVeth(name))
  const host = made ?? linkByName(nl, name)
  if (!host) throw new CniError(ErrorCode.internal, `interface "${name}" vanished while it was being set up`)
  disableIPv6(name)
  bridgePortSet(nl, host, {
    alias: formatAlias(id),
    ...(hairpin && { hairpin }),
    ...(isolated && { isolated }),
    up: true,
  })
  if (host.master === bridge.index) return host
  throw new CniError(
    ErrorCode.internal,
    `"${name}" was removed from bridge "${bridge.name}" while it was being set up`,
  )
}

/** Deletes a veth pair by the name of its host's end; one that is gone already is no failure. */
export const takeDownVeth = (name: string): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const link = linkByName(nl, name)
    if (link) linkDel(nl, link)
  })

/** Calls an attachment's veth finished: from here on neither a retry nor GC takes it for a leftover. */
export const markVethReady = (nl: NetlinkSocket, host: Link): void => linkSet(nl, host, { group: 0 })

/** Creates the veth pair under a name that is free, and answers the host's end, `made` where the kernel describes it. */
const createPair = (nl: NetlinkSocket, request: VethRequest): { name: string; made: Link | undefined } => {
  const { id, netns, bridge, mtu, namePrefix } = request
  for (let attempt = 0; ; ) {
    const name = hostVethName(id, attempt, namePrefix)
    try {
      const made = vethAdd(nl, {
        host: { name, mac: request.hostMac, mtu, master: bridge.index, group: halfMadeGroup, up: false },
        peer: { name: id.ifName, mac: request.containerMac, mtu, netnsFd: netns.fd },
      })
      return { name, made }
    } catch (error) {
      if (!isFrom(error, 'netlink', 'EEXIST')) throw error
      const taken = linkByName(nl, name)
      if (taken && isLeftover(taken, id)) {
        linkDel(nl, taken)
        continue
      }
      if (!taken || attempt >= attempts || hasInterface(request)) throw nameTaken(request, name, error)
      attempt++
    }
  }
}

/** Is it what a killed ADD of this very attachment left? */
const isLeftover = (link: Link, id: Attachment): boolean =>
  link.kind === 'veth' && link.group === halfMadeGroup && (link.alias === '' || isAliasOf(link.alias, id))

/** Is the container's end of the name taken already? */
const hasInterface = ({ netns, id }: VethRequest): boolean => {
  const inside = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    return linkByName(inside, id.ifName) !== undefined
  } finally {
    inside.close()
  }
}

/** kubenet's prefix for the MAC of an IPv4 address. */
const addressPrefix = Buffer.from('0a58', 'hex')

/**
 * A MAC that goes with the address, as kubenet's did: a container that gets a used address again has the MAC that
 * its neighbours' caches still hold for it. Undefined without an address.
 */
export const macForAddresses = (addresses: readonly Cidr[]): Mac | undefined => {
  const first = addresses[0]?.addr
  if (!first) return undefined
  if (first.family === 4) return formatMac(Buffer.concat([addressPrefix, addrBytes(first)]))
  return macFromHash(platform.sha512Hex(addrBytes(first).toString('hex')))
}

/** The MACs the two ends of an attachment's veth are created with: the same for every ADD, unless one is asked for. */
export const macsOf = (
  { containerID, ifName }: { containerID: string; ifName: string },
  conf: BridgeConf,
): { host: Mac; container: Mac } => {
  const hash = platform.sha512Hex(`${containerID}\n${ifName}`)
  const requested = conf.mac && parseMac(conf.mac.text)
  return { host: portMac(hash.slice(12)), container: requested ?? macFromHash(hash) }
}
