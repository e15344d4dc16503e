/** Ways of packets inside of containers, and between them and the host, that lead nowhere. */
import { containerWithPod } from '../../src/attachment/attachment'
import { formatAddr } from '../../src/ip/addr'
import type { Mac } from '../../src/ip/mac'
import type { Neighbour } from '../../src/netlink/neigh'
import type { NodeAttachment } from './attachments'
import { type Finding, findingOn, isSettled } from './finding'
import type { ContainerInterface } from './namespaces'
import { namespacePath } from './namespaces'
import type { Readings } from './readings'

/** A command inside of a container's namespace. */
const within = ({ netns }: ContainerInterface, command: string): string =>
  `nsenter --net=${namespacePath(netns)} ${command}`

const hasFamily = ({ leases }: NodeAttachment, family: 4 | 6): boolean =>
  leases.some(({ address }) => address.includes(':') === (family === 6))

const withoutRoute = (attachment: NodeAttachment, { host, networks }: Readings): Finding[] => {
  const { container, ifName } = attachment
  const network = networks.find(({ name }) => name === attachment.network)
  if (!container || !network?.ipam) return []
  const { rangeSets } = network.ipam
  return network.defaultRoutes
    .filter(family => hasFamily(attachment, family) && !container.leadsOut.includes(family))
    .map(family => {
      const gateway = rangeSets.find(({ ranges }) => ranges[0].gateway.family === family)?.ranges[0].gateway
      const via = gateway ? ` via ${formatAddr(gateway)}` : ''
      return findingOn(attachment, host.now, {
        what: 'pod-without-route',
        object: `IPv${family} of the container`,
        cause: 'no route leads outside: its default route is gone, or another one refuses packets',
        remedy: `restart the container, or ${within(container, `ip -${family} route replace default${via} dev ${ifName}`)}`,
      })
    })
}

const loopbackDown = (attachment: NodeAttachment, { host, loopbacks, networks }: Readings): Finding[] => {
  const { container, containerID } = attachment
  // Of other containers nothing tells that it ever was up.
  const isOurs = networks.some(({ name, kubenet }) => kubenet && name === attachment.network)
  if (!container || container.isLoopbackUp || !(isOurs || loopbacks.has(containerID))) return []
  return [
    findingOn(attachment, host.now, {
      what: 'loopback-down',
      object: 'loopback interface of the container',
      cause: 'it is down: programs in the container do not reach each other by 127.0.0.1 and ::1',
      remedy: within(container, 'ip link set lo up'),
    }),
  ]
}

/** The MACs of running containers and of the host's own interfaces, by their addresses. */
const macsOf = (
  attachments: readonly NodeAttachment[],
  { addrs, links }: Readings,
): Map<string, Set<Mac>> => {
  const byIndex = new Map(links.map(({ index, mac }) => [index, mac]))
  const macs = new Map<string, Set<Mac>>()
  const add = (address: string, mac = '') => macs.set(address, (macs.get(address) ?? new Set()).add(mac))
  for (const { cidr, index } of addrs) add(formatAddr(cidr.addr), byIndex.get(index))
  for (const { container, addresses } of attachments)
    for (const address of container ? addresses : []) add(address, container?.mac)
  return macs
}

/** Of an address that several have nothing tells which is right. */
const wrong = (neighbours: readonly Neighbour[], macs: ReadonlyMap<string, ReadonlySet<Mac>>) =>
  neighbours.flatMap(({ index, addr, mac }) => {
    const address = formatAddr(addr)
    const [right, ...others] = macs.get(address) ?? []
    return right && others.length === 0 && right !== mac ? [{ index, address, mac, right }] : []
  })

const wrongNeighbours = (attachments: readonly NodeAttachment[], readings: Readings): Finding[] => {
  const { host, links, neighbours } = readings
  const running = attachments.filter(attachment => isSettled(attachment, host.now) && attachment.container)
  const macs = macsOf(running, readings)
  const names = new Map(links.map(({ index, name }) => [index, name]))
  const onHost = wrong(neighbours, macs).flatMap(({ index, address, mac, right }) => {
    const owner = running.find(({ addresses }) => addresses.includes(address))
    const name = names.get(index)
    if (!owner || name !== owner.bridge) return []
    return findingOn(owner, host.now, {
      what: 'neighbour-wrong',
      object: `neighbour ${address} on "${name}"`,
      cause: `the host sends to MAC ${mac}, and the container has ${right}: nothing arrives`,
      remedy: `ip neigh del ${address} dev ${name}`,
    })
  })
  // A host that answers for others, by proxy ARP, passes their packets on.
  const own = new Set(links.map(({ mac }) => mac))
  const inside = running.flatMap(attachment =>
    wrong(
      (attachment.container?.neighbours ?? []).filter(({ mac }) => !own.has(mac)),
      macs,
    ).map(({ address, mac, right }) =>
      findingOn(attachment, host.now, {
        what: 'neighbour-wrong',
        object: `neighbour ${address} in the container`,
        cause: `it sends to MAC ${mac}, and ${ownerOf(address, running)} has ${right}: nothing arrives`,
        remedy: attachment.container
          ? within(attachment.container, `ip neigh del ${address} dev ${attachment.ifName}`)
          : 'restart the container',
      }),
    ),
  )
  return [...onHost, ...inside]
}

const ownerOf = (address: string, running: readonly NodeAttachment[]): string => {
  const owner = running.find(({ addresses }) => addresses.includes(address))
  return owner ? `container ${containerWithPod(owner)}` : 'the host'
}

/** Finds containers whose packets have no way out, or go to a wrong neighbour. */
export const findRouteFaults = (attachments: readonly NodeAttachment[], readings: Readings): Finding[] => [
  ...attachments
    .filter(attachment => isSettled(attachment, readings.host.now))
    .flatMap(attachment => [...withoutRoute(attachment, readings), ...loopbackDown(attachment, readings)]),
  ...wrongNeighbours(attachments, readings),
]
