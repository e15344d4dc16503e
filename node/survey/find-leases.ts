/** Leases without a container, and addresses without a lease. */
import { containerWithPod } from '../../src/attachment/attachment'
import { parseAddr } from '../../src/ip/addr'
import { cidrContains } from '../../src/ip/cidr'
import type { NodeAttachment } from './attachments'
import { type Finding, findingOn, findingOnNobody, isSettled, leftover } from './finding'
import type { Lease } from './leases'
import { namespacePath } from './namespaces'
import type { Network } from './networks'
import type { Readings } from './readings'

const nameOf = ({ address, network }: Lease): string => `lease ${address} of network "${network}"`

const tornLeases = ({ leases, host }: Readings): Finding[] =>
  leases
    .filter(({ containerID }) => containerID === undefined)
    .map(lease => ({
      ...findingOnNobody({
        what: 'lease-torn',
        object: nameOf(lease),
        network: lease.network,
        cause: 'its file is empty after a crash; the address is neither in use nor free',
        remedy: '"kubenet doctor --fix" frees it',
        repair: { do: 'release-lease', ...placeOf(lease) },
      }),
      age: Math.max(0, host.now - lease.madeAt),
    }))

const placeOf = ({ dataDir, network, address }: Lease) => ({ dataDir, network, address })

const deadLeases = (attachment: NodeAttachment, readings: Readings): Finding[] =>
  attachment.state !== 'gone'
    ? []
    : attachment.leases.map(lease =>
        findingOn(attachment, readings.host.now, {
          what: 'lease-without-pod',
          object: nameOf(lease),
          cause: attachment.why,
          ...leftover(attachment, readings, { do: 'release-lease', ...placeOf(lease) }),
        }),
      )

/** Is the address one that host-local would give out on this network? */
const isOf = ({ ipam }: Network, address: string): boolean => {
  const addr = parseAddr(address)
  return (
    addr !== undefined &&
    (ipam?.rangeSets ?? []).some(({ ranges }) => ranges.some(range => cidrContains(range.subnet, addr)))
  )
}

const onInterface = ({ container }: NodeAttachment): string[] =>
  (container?.addresses ?? []).map(cidr => cidr.split('/')[0] ?? '')

/** Addresses of a living container that it has no lease for: they may be given out again. */
const unleased = (attachment: NodeAttachment, { networks, host }: Readings): Finding[] => {
  const { network: name, state, leases, ifName } = attachment
  const network = networks.find(known => known.name === name)
  if (state !== 'running' || !network?.ipam) return []
  const { dataDir } = network.ipam
  return onInterface(attachment)
    .filter(address => isOf(network, address) && !leases.some(lease => lease.address === address))
    .map(address =>
      findingOn(attachment, host.now, {
        what: 'pod-without-lease',
        object: `address ${address} of network "${name}"`,
        cause: `"${ifName}" has the address, and it has no lease: it may be given to another container`,
        remedy: `delete the container and start it again, or write ${dataDir}/${name}/${address} again`,
      }),
    )
}

/** Leased addresses that the container's interface does not have. */
const missing = (attachment: NodeAttachment, { host }: Readings): Finding[] => {
  const { container, leases, ifName } = attachment
  if (!container || !isSettled(attachment, host.now)) return []
  const there = onInterface(attachment)
  return leases
    .filter(({ address }) => !there.includes(address))
    .map(lease =>
      findingOn(attachment, host.now, {
        what: 'address-missing',
        object: nameOf(lease),
        cause: `"${ifName}" in ${namespacePath(container.netns)} does not have it; it has ${there.join(', ') || 'none'}`,
        remedy: 'something in the container removed it; restart the container',
      }),
    )
}

/** Addresses that several interfaces have, or that are leased to one container and had by another. */
const duplicates = (attachments: readonly NodeAttachment[], { host }: Readings): Finding[] => {
  const holders = new Map<string, NodeAttachment[]>()
  for (const attachment of attachments.filter(({ state }) => state === 'running')) {
    for (const address of onInterface(attachment)) {
      holders.set(address, [...(holders.get(address) ?? []), attachment])
    }
  }
  return [...holders]
    .filter(([, several]) => several.length > 1)
    .flatMap(([address, several]) =>
      several.slice(1).map(attachment =>
        findingOn(attachment, host.now, {
          what: 'duplicate-address',
          object: `address ${address}`,
          cause: `container ${containerWithPod(several[0] ?? attachment)} has it too, on network "${several[0]?.network}"`,
          remedy: 'delete one of the containers and start it again',
        }),
      ),
    )
}

/** Compares leases with containers. */
export const findLeaseFaults = (attachments: readonly NodeAttachment[], readings: Readings): Finding[] => [
  ...duplicates(attachments, readings),
  ...attachments.flatMap(attachment => [
    ...unleased(attachment, readings),
    ...missing(attachment, readings),
    ...deadLeases(attachment, readings),
  ]),
  ...tornLeases(readings),
]
