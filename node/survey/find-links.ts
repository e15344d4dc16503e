/** Bridges that are not as their networks need them, and interfaces that are not as their attachments need them. */
import { halfMadeGroup } from '../../plugins/bridge/veth'
import { formatAddr } from '../../src/ip/addr'
import type { NodeAttachment } from './attachments'
import { type Finding, findingOn, findingOnNobody, isSettled, type LinkRepair } from './finding'
import { type HostLink, isUp } from './links'
import { namespacePath } from './namespaces'
import type { Network } from './networks'
import type { Readings } from './readings'

const bridgeFault = (network: Network, about: Pick<Finding, 'what' | 'cause' | 'remedy'>): Finding =>
  findingOnNobody({ ...about, object: `bridge ${network.bridge}`, network: network.name })

const gatewaysOf = ({ ipam }: Network): string[] =>
  (ipam?.rangeSets ?? []).map(({ ranges }) => formatAddr(ranges[0].gateway))

/** The faults of the bridge of a network with running containers. */
const onBridge = (
  network: Network,
  attachments: readonly NodeAttachment[],
  readings: Readings,
): Finding[] => {
  const { bridge } = network
  const used = attachments.filter(({ network: name, state }) => name === network.name && state === 'running')
  if (bridge === undefined || used.length === 0) return []
  const link = readings.links.find(({ name }) => name === bridge)
  const again = '"kubenet sync" repairs it, and so does the next ADD on the network'
  if (!link) {
    const cause = `it is not there, and ${used.length} containers are to be on it`
    return [bridgeFault(network, { what: 'bridge-missing', cause, remedy: again })]
  }
  const faults: Finding[] = []
  if (!isUp(link)) {
    const remedy = `ip link set ${bridge} up`
    faults.push(bridgeFault(network, { what: 'bridge-down', cause: 'it is down', remedy }))
  }
  // A VLAN's gateway is on an interface of its own.
  const there = new Set(readings.addrs.map(({ cidr }) => formatAddr(cidr.addr)))
  const missing = network.isGateway ? gatewaysOf(network).filter(gateway => !there.has(gateway)) : []
  for (const gateway of missing) {
    const needed = used.some(({ addresses }) =>
      addresses.some(a => a.includes(':') === gateway.includes(':')),
    )
    const cause = `no interface of the host has the gateway ${gateway}: the containers reach only each other`
    if (needed) faults.push(bridgeFault(network, { what: 'bridge-without-gateway', cause, remedy: again }))
  }
  return faults
}

/** Compares bridges with the networks that use them. */
export const findBridgeFaults = (attachments: readonly NodeAttachment[], readings: Readings): Finding[] =>
  readings.networks.flatMap(network => onBridge(network, attachments, readings))

/** The repair of the attachment's veth; only one that says whose it is may be changed. */
const repairOf = (
  { veth, container }: NodeAttachment,
  change: Partial<Pick<LinkRepair, 'bridge' | 'mtu' | 'up'>>,
): Finding['repair'] => {
  if (!veth?.alias) return undefined
  const { name, index, alias } = veth
  const inside = container && {
    netns: namespacePath(container.netns),
    ino: container.netns.ino,
    name: container.name,
  }
  return {
    do: 'set-link',
    link: { name, index, alias, bridge: undefined, mtu: undefined, up: false, inside, ...change },
  }
}

const offBridge = (attachment: NodeAttachment, bridge: HostLink, now: number): Finding[] => {
  const { veth } = attachment
  if (!veth || veth.master === bridge.index) return []
  const where = attachment.bridge ? `a port of "${attachment.bridge}"` : 'no port of any bridge'
  return [
    findingOn(attachment, now, {
      what: 'veth-off-bridge',
      object: `veth ${veth.name}`,
      cause: `it is ${where}, and should be one of "${bridge.name}": the container has no connection`,
      remedy: `ip link set ${veth.name} master ${bridge.name}`,
      repair: veth.master === 0 ? repairOf(attachment, { bridge: bridge.name }) : undefined,
    }),
  ]
}

/** Does another plugin of the chain set the MTU in the container? Bridge and port keep theirs. */
const isTuned = ({ types }: Network): boolean => types.includes('tuning')

const mtuMismatch = (
  attachment: NodeAttachment,
  { bridge, network }: { bridge: HostLink; network: Network },
  now: number,
): Finding[] => {
  const { veth } = attachment
  const container =
    isTuned(network) && veth && attachment.container && attachment.container.mtu <= veth.mtu
      ? undefined
      : attachment.container
  const ends = [veth?.mtu, container?.mtu].filter(mtu => mtu !== undefined)
  if (!veth || ends.every(mtu => mtu === bridge.mtu)) return []
  const inside = container ? `, in the container ${container.mtu}` : ''
  const both = container ? `, and the same for "${attachment.ifName}" in the container` : ''
  return [
    findingOn(attachment, now, {
      what: 'mtu-mismatch',
      object: `veth ${veth.name}`,
      cause: `its MTU is ${veth.mtu}${inside}, that of "${bridge.name}" is ${bridge.mtu}: large packets vanish`,
      remedy: `ip link set ${veth.name} mtu ${bridge.mtu}${both}`,
      repair: repairOf({ ...attachment, container }, { mtu: bridge.mtu }),
    }),
  ]
}

const down = (attachment: NodeAttachment, now: number): Finding[] => {
  const { veth, container, ifName } = attachment
  if (!veth || (isUp(veth) && container?.up !== false)) return []
  const hostEnd = !isUp(veth)
  return [
    findingOn(attachment, now, {
      what: 'interface-down',
      object: hostEnd ? `veth ${veth.name}` : `interface ${ifName} in the container`,
      cause: 'it is down: the container has no connection',
      remedy: hostEnd ? `ip link set ${veth.name} up` : `ip link set ${ifName} up, in the container`,
      repair: hostEnd ? repairOf(attachment, { up: true }) : undefined,
    }),
  ]
}

const unfinished = (attachment: NodeAttachment, now: number): Finding[] => {
  const { veth } = attachment
  return veth?.group === halfMadeGroup
    ? [
        findingOn(attachment, now, {
          what: 'veth-half-made',
          object: `veth ${veth.name}`,
          cause: 'its ADD was killed before it ended',
          remedy: `"kubenet gc ${attachment.network}" removes it, or the next ADD of the container`,
        }),
      ]
    : []
}

const withoutHairpin = (attachment: NodeAttachment, network: Network, now: number): Finding[] => {
  const { veth } = attachment
  if (!network.hairpin || !veth || veth.hairpin) return []
  return [
    findingOn(attachment, now, {
      what: 'hairpin-off',
      object: `veth ${veth.name}`,
      cause:
        'the network has hairpin mode, but the port does not: the container does not reach itself by a service',
      remedy: `bridge link set dev ${veth.name} hairpin on`,
    }),
  ]
}

const withoutInterface = (attachment: NodeAttachment, { insides, host }: Readings): Finding[] => {
  // The owner of a veth without an alias is known by its other end, if that is visible.
  const certain = insides?.closed === 0 && attachment.state === 'running'
  if (!certain || attachment.veth || attachment.leases.length === 0) return []
  return [
    findingOn(attachment, host.now, {
      what: 'pod-without-interface',
      object: `interface ${attachment.ifName} of network "${attachment.network}"`,
      cause: `${attachment.why}, and no veth pair leads there`,
      remedy: 'delete the container and start it again',
    }),
  ]
}

const onAttachment = (
  attachment: NodeAttachment,
  bridges: ReadonlyMap<string, HostLink>,
  readings: Readings,
): Finding[] => {
  const { host, networks } = readings
  const network = networks.find(({ name }) => name === attachment.network)
  const bridge = bridges.get(network?.bridge ?? '')
  if (!isSettled(attachment, host.now) || !network?.bridge) return []
  const now = host.now
  return [
    ...withoutInterface(attachment, readings),
    ...unfinished(attachment, now),
    ...down(attachment, now),
    ...withoutHairpin(attachment, network, now),
    ...(bridge
      ? [...offBridge(attachment, bridge, now), ...mtuMismatch(attachment, { bridge, network }, now)]
      : []),
  ]
}

const strangersOn = (strangers: readonly HostLink[], { links }: Readings): Finding[] => {
  const names = new Map(links.map(({ index, name }) => [index, name]))
  return strangers.map(veth => {
    const bridge = names.get(veth.master)
    return findingOnNobody({
      what: 'veth-of-nobody',
      object: `veth ${veth.name}`,
      cause: `it is a port of "${bridge}", and no lease, result or alias names its owner`,
      remedy: `find its owner; "ip link del ${veth.name}" if it is not needed`,
    })
  })
}

/** Compares interfaces with attachments; `strangers` are ports whose owner nothing tells. */
export const findLinkFaults = (
  attachments: readonly NodeAttachment[],
  strangers: readonly HostLink[],
  readings: Readings,
): Finding[] => {
  const bridges = new Map(
    readings.links.filter(({ kind }) => kind === 'bridge').map(link => [link.name, link]),
  )
  return [
    ...attachments.flatMap(attachment => onAttachment(attachment, bridges, readings)),
    ...strangersOn(strangers, readings),
  ]
}
