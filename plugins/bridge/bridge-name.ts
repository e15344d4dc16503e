/**
 * The bridge of a network whose configuration names none. kubenet's is cbr0, the reference's cni0: a network that the
 * reference has served keeps its bridge, so that its containers stay together.
 */
import { isOn } from '../../src/attachment/attachment'
import { parseAlias } from '../../src/attachment/interfaces'
import type { Call } from '../../src/cni/plugin'
import { isJsonObject, type JsonObject } from '../../src/cni/schema'
import { isFrom } from '../../src/host/system-error'
import { type Cidr, cidrEquals, networkOf, parseCidr } from '../../src/ip/cidr'
import { addrList } from '../../src/netlink/addr'
import { type Link, linkByName, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'

const kubenetBridge = 'cbr0'
const referenceBridge = 'cni0'

/** A network's name, and the networks that its IPAM plugin gives addresses of: none where no gateway tells of them. */
type About = { readonly network: string; readonly ranges: readonly Cidr[] }

/** All networks that stand anywhere in what the IPAM plugin goes by, except for those that are everywhere. */
const rangesIn = (raw: JsonObject): Cidr[] => {
  const given = Object.entries(raw).filter(([key]) => ['ipam', 'runtimeconfig'].includes(key.toLowerCase()))
  const texts = JSON.stringify(given).match(/"[0-9a-f.:]{2,45}\/\d{1,3}"/gi) ?? []
  return texts
    .flatMap(text => parseCidr(text.slice(1, -1)) ?? [])
    .map(networkOf)
    .filter(({ prefix }) => prefix > 0)
}

/**
 * Is the port one of this network's? The reference leaves no note of whose a port is, and has all networks that name no
 * bridge on this one. A network with gateways would have told by them.
 */
const isPortOf = ({ alias, kind }: Link, { network, ranges }: About): boolean => {
  const id = parseAlias(alias)
  return id ? isOn(id, network) : kind === 'veth' && ranges.length === 0
}

/** Has the bridge a gateway of the network, or containers? */
const carries = (nl: NetlinkSocket, bridge: Link, about: About): boolean =>
  addrList(nl, { index: bridge.index }).some(({ cidr }) =>
    about.ranges.some(range => cidrEquals(range, networkOf(cidr))),
  ) || linkList(nl, bridge.index).some(port => isPortOf(port, about))

const carryingBridge = (nl: NetlinkSocket, name: string, about: About): boolean => {
  const bridge = linkByName(nl, name)
  return bridge?.kind === 'bridge' && carries(nl, bridge, about)
}

/** The bridge that the container was connected to, by the result of its ADD; undefined if that does not tell. */
const bridgeOfResult = ({ env, conf }: Call): string | undefined => {
  if (env.command === 'ADD' || !isJsonObject(conf.prevResult)) return undefined
  const { interfaces } = conf.prevResult
  const names = (Array.isArray(interfaces) ? interfaces : []).flatMap(one =>
    isJsonObject(one) && !one.sandbox ? [one.name] : [],
  )
  return [kubenetBridge, referenceBridge].find(name => names.includes(name))
}

/**
 * The bridge of a network whose configuration names none: the one in the container's result, else cni0 where that is
 * there and carries the network and cbr0 does not, else cbr0.
 */
export const unnamedBridge = (call: Call, { isGateway }: { isGateway: boolean }): string => {
  const known = bridgeOfResult(call)
  if (known !== undefined) return known
  try {
    return withNetlink(NETLINK_ROUTE, nl => {
      const about = { network: call.conf.name, ranges: isGateway ? rangesIn(call.raw) : [] }
      const isReferences =
        carryingBridge(nl, referenceBridge, about) && !carryingBridge(nl, kubenetBridge, about)
      return isReferences ? referenceBridge : kubenetBridge
    })
  } catch (error) {
    // Nothing can be connected then, and DEL must still clean up the rest.
    if (isFrom(error, 'netlink')) return kubenetBridge
    throw error
  }
}
