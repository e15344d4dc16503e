import { isAliasOf, parseAlias } from '../../src/attachment/interfaces'
import { runAll } from '../../src/cni/error'
import { type Call, prevResultOf } from '../../src/cni/plugin'
import { endStep } from '../../src/host/steps'
import { isFrom } from '../../src/host/system-error'
import { type Addr, parseAddr } from '../../src/ip/addr'
import { cidrContains } from '../../src/ip/cidr'
import { chooseBackend } from '../../src/netfilter/backend'
import type { PortMapping } from '../../src/netfilter/rules/hostports/hostports'
import { podRules } from '../../src/netfilter/rules/pods/nft'
import { masquerades } from '../../src/netfilter/rules/pods/pods'
import { type Link, linkDelTogether } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { findShaping, type Shaping, takeDownShaping } from '../bandwidth/del'
import { delWithoutVeth } from '../bridge/del'
import { readHostLocalConf } from '../host-local/config'
import { holdingOf, leaseFoldersOf, ownerOf as leaseOwnerOf, readLeases } from '../host-local/network'
import { ownerOf, takeDownClaims, udpPortsOf } from '../portmap/claims'
import type { PortmapConf } from '../portmap/config'
import { takeDownFlowsToPod } from '../portmap/conntrack'
import { takeDownPorts } from '../portmap/main'
import type { PortOwner } from '../portmap/records'
import { ownerOfCall, portsOfCall } from './attachment'
import { type KubenetConf, readKubenetConf } from './config'
import { collectGateways } from './gateways'
import { bridgeConf, callOf, inNewestVersion, parts } from './parts'
import { passPortsOn, passPortsOnLocked, stopWaiting } from './shared-ports'

type Links = readonly [Link, ...Link[]]

/** Does the veth say that it is another attachment's? Two of one container may have changed their names. */
const isAnothers = ({ alias }: Link, call: Call): boolean =>
  parseAlias(alias) !== undefined && !isAliasOf(alias, { ...call.env, network: call.conf.name })

/**
 * A shaped attachment's veth and ifbs, if they can go together. By deleting them together their groups are lost, so
 * that an ifb without an alias is not among those: if this process were killed, nothing would tell the next DEL whose
 * it is.
 */
const linksOf = ({ veth, ifbs }: Shaping, call: Call): Links | undefined =>
  veth && !isAnothers(veth, call) && ifbs.length > 0 && ifbs.every(({ alias }) => alias)
    ? [veth, ...ifbs]
    : undefined

/** Says whether they are gone. */
const deleteTogether = (nl: NetlinkSocket, links: Links): boolean => {
  try {
    linkDelTogether(nl, links)
    endStep('links')
    return true
  } catch (error) {
    if (isFrom(error, 'netlink')) return false
    throw error
  }
}

/**
 * Removes an attachment's limits, and its veth pair in the same message as the ifb: the deletion of a link takes the
 * kernel some 10 to 30 ms, and that of several at once no longer. Says whether the pair is gone; where there is no ifb,
 * or the kernel does not want to, it is left to the plugin that made it.
 */
const takeDownShapedLinks = async (call: Call, { withVeth }: { withVeth: boolean }): Promise<boolean> => {
  const own = callOf(call, { type: 'bandwidth' })
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    const shaping = findShaping(nl, own)
    const links = withVeth ? linksOf(shaping, call) : undefined
    if (links && deleteTogether(nl, links)) return true
    // Some disappeared meanwhile, so they could not be deleted together.
    await takeDownShaping(nl, links ? findShaping(nl, own) : shaping)
    return false
  } finally {
    nl.close()
  }
}

/** An address, with its prefix length where that is known. */
type PodAddress = { readonly addr: Addr; readonly prefix?: number }

const resultAddresses = (call: Call): PodAddress[] => {
  try {
    return (prevResultOf(call)?.ips ?? []).map(({ address }) => address)
  } catch {
    return [] // a broken cache must not keep anything from being cleaned; the leases tell too
  }
}

const parsed = (addresses: readonly string[] = []): Addr[] =>
  addresses.flatMap(address => parseAddr(address) ?? [])

/** The addresses the attachment has: from its result, and from its leases where that is not known. */
const addressesOf = async (call: Call, conf: KubenetConf): Promise<PodAddress[]> => {
  const known = resultAddresses(call)
  if (known.length > 0) return known
  const ipam = callOf(call, bridgeConf(conf, { masquerade: false }))
  const leaseFolders = leaseFoldersOf(readHostLocalConf(ipam))
  if (!leaseFolders.store.exists()) return []
  const leased = await readLeases(leaseFolders, leases => holdingOf(leases, leaseOwnerOf(ipam)))
  const addresses = parsed(leased?.addresses).map(addr => ({ addr }))
  // Of a DEL that was killed between two leases one is left, which does not tell where the other's address is.
  return addresses.length < conf.podCIDRs.length ? [] : addresses
}

/** The ports of the call. A bad one was refused by ADD, and must not keep anything from being cleaned: undefined. */
const wantedPorts = (call: Call): PortmapConf | undefined => {
  try {
    return portsOfCall(call, 'nftables')
  } catch {
    return undefined
  }
}

/** The known facts of the attachment before anything of it is deleted. */
type Found = {
  readonly addresses: readonly Addr[]
  readonly mappings: readonly PortMapping[]
  readonly ports: PortOwner | undefined
}

/** Has the kernel forget the UDP flows that led to the pod. */
const takeDownFlows = ({ addresses, mappings, ports }: Found): void => {
  const udp = mappings.filter(({ protocol }) => protocol === 'udp').map(({ hostPort }) => hostPort)
  const pods = addresses.length > 0 ? addresses : parsed(ports?.addresses)
  for (const addr of pods)
    takeDownFlowsToPod(addr.family, addr, [...udp, ...(ports ? udpPortsOf(ports) : [])])
}

const delBridge = (
  call: Call,
  conf: KubenetConf,
  { masquerade, isVethGone, keepsLeases }: { masquerade: boolean; isVethGone: boolean; keepsLeases: boolean },
): Promise<void> => {
  const whole = bridgeConf(conf, { masquerade })
  const own = callOf(call, keepsLeases ? { ...whole, ipam: {} } : whole)
  return isVethGone ? delWithoutVeth(own) : parts.bridge.del(own)
}

/** Without a configuration that can be read, portmap says what is wrong with it. */
const delPortmap = (call: Call, wanted: PortmapConf | undefined): Promise<void> =>
  wanted ? takeDownPorts(wanted) : parts.portmap.del(callOf(call, { type: 'portmap', backend: 'iptables' }))

/** Should the pod have been in the ruleset, had it been added with this configuration? */
const isExpected = (conf: KubenetConf, { addresses, ports }: Found): boolean =>
  ports !== undefined || addresses.some(({ family }) => masquerades(conf, family))

/** Erases the attachment's elements. Answers how many there were. */
const eraseElements = (
  call: Call,
  conf: KubenetConf,
  { addresses, mappings, ports }: Found,
): Promise<number> => {
  // Where the ports could not be recorded, nothing but looking through everything finds them.
  const tellsAll = ports !== undefined || mappings.length === 0
  return podRules.takeDown({
    id: ownerOfCall(call, conf),
    addresses: tellsAll ? addresses : [],
    claims: ports?.claims ?? [],
  })
}

/** Is it of a range that the node has? Another one may lie around it, with another prefix length. */
const isOfRanges = ({ podCIDRs }: KubenetConf, { addr, prefix }: PodAddress): boolean =>
  podCIDRs.some(range => cidrContains(range, addr) && (prefix === undefined || prefix === range.prefix))

export const del = async (given: Call): Promise<void> => {
  const call = inNewestVersion(given)
  const conf = readKubenetConf(call)
  const wanted = wantedPorts(call)
  const mappings = wanted?.mappings ?? []
  const ports = ownerOf(ownerOfCall(call, conf))
  const usesIptables = chooseBackend(conf.backend) === 'iptables'
  let addresses: PodAddress[] = []
  let isVethGone = false
  let erased: number | undefined
  // An earlier configuration may have had it in iptables. To ask costs more than all the rest, so only then.
  const mayBeInIptables = () => usesIptables || (erased === 0 && isExpected(conf, found()))
  let hasPortRules = true
  const found = (): Found => ({ addresses: addresses.map(({ addr }) => addr), mappings, ports })
  await runAll([
    // Before bridge, whose IPAM plugin gives the leases back.
    async () => {
      addresses = await addressesOf(call, conf)
    },
    async () => {
      await stopWaiting(ports)
      // The kernel's waits for both run at the same time.
      const erasing = eraseElements(call, conf, found())
      // With iptables bridge asks the container's interface which rules there are.
      const deleting = takeDownShapedLinks(call, { withVeth: !usesIptables })
      await runAll([
        async () => {
          erased = await erasing
        },
        async () => {
          isVethGone = await deleting
        },
      ])
    },
    async () => {
      if (mayBeInIptables()) {
        await delPortmap(call, wanted)
        // portmap gave the ports back too: those that a DEL which was killed had not passed on yet.
        if (!usesIptables) await passPortsOnLocked()
      }
      hasPortRules = erased === undefined
    },
    // An address to which a rule leads stays leased for the next DEL: it must not be another pod's.
    () => delBridge(call, conf, { masquerade: mayBeInIptables(), isVethGone, keepsLeases: hasPortRules }),
    () => takeDownFlows(found()),
    async () => {
      if (!hasPortRules) await takeDownClaims(ownerOfCall(call, conf), { passOn: passPortsOn })
    },
    async () => {
      if (addresses.some(address => !isOfRanges(conf, address))) await collectGateways(call, conf)
    },
  ])
}
