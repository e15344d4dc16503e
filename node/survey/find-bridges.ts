/** Bridges that are not as their networks need them. */
import { formatAddr } from '../../src/ip/addr'
import type { NodeAttachment } from './attachments'
import { type Finding, findingOnNobody } from './finding'
import { isUp } from './links'
import type { Network } from './networks'
import type { Readings } from './readings'

const bridgeFault = (network: Network, about: Pick<Finding, 'what' | 'cause' | 'remedy'>): Finding =>
  findingOnNobody({ ...about, severity: 'fail', object: `bridge ${network.bridge}`, network: network.name })

const gatewaysOf = ({ ipam }: Network): string[] =>
  (ipam?.rangeSets ?? []).map(({ ranges }) => formatAddr(ranges[0].gateway))

/** What is wrong with the bridge of a network that has running containers. */
const onBridge = (
  network: Network,
  attachments: readonly NodeAttachment[],
  readings: Readings,
): Finding[] => {
  const { bridge } = network
  const used = attachments.filter(({ network: name, state }) => name === network.name && state === 'running')
  if (bridge === undefined || used.length === 0) return []
  const link = readings.links.find(({ name }) => name === bridge)
  const again = 'the next ADD on the network makes it as it should be'
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
