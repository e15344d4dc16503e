/** Finds what an address, a port or a name of a node stands for. */

import { usageError } from '../../node/command/failure'
import type { HostPort, NodeAttachment } from '../../node/survey/attachments'
import { listeningPorts } from '../../node/survey/listening-ports'
import type { Survey } from '../../node/survey/survey'
import { rangeOf } from '../../plugins/host-local/range'
import { type Addr, formatAddr, parseAddr } from '../../src/ip/addr'
import { cidrContains, networkOf } from '../../src/ip/cidr'
import type { ServicePort } from './services'

/** The result: whose it is, or in a sentence what it is otherwise. */
export type Found = {
  readonly kind: 'address' | 'host port' | 'service' | 'container'
  readonly attachments: readonly NodeAttachment[]
  /** Further details; a whole sentence each, without its full stop. */
  readonly says: readonly string[]
  /** Is it anything at all on this node? */
  readonly isKnown: boolean
}

const ofNetworks = (addr: Addr, { readings }: Survey): string[] =>
  readings.networks.flatMap(({ name, ipam, bridge }) =>
    (ipam?.rangeSets ?? []).flatMap(set => {
      const text = formatAddr(addr)
      const gateway = set.ranges.find(range => formatAddr(range.gateway) === text)
      if (gateway) return [`${text} is the gateway of network "${name}", on ${bridge ?? 'no bridge'}`]
      if (rangeOf(set, addr)) return [`${text} is free: network "${name}" may give it to the next container`]
      const inside = set.ranges.some(({ subnet }) => cidrContains(subnet, addr))
      return inside ? [`${text} is in the subnet of network "${name}", which does not give it out`] : []
    }),
  )

const ofHost = (addr: Addr, { readings }: Survey): string[] => {
  const text = formatAddr(addr)
  const own = readings.addrs.filter(({ cidr }) => formatAddr(cidr.addr) === text)
  const nameOf = (index: number) =>
    readings.links.find(link => link.index === index)?.name ?? `interface ${index}`
  if (own.length > 0)
    return own.map(({ index }) => `${text} is an address of the host itself, on "${nameOf(index)}"`)
  const [route] = readings.routes
    .filter(({ dst }) => cidrContains(networkOf(dst), addr))
    .sort((a, b) => b.dst.prefix - a.dst.prefix)
  return route ? [`${text} is not of this node; the route leads over "${nameOf(route.index)}"`] : []
}

/** "default/web:http, 443/tcp → 10.244.1.2:80 (pod default/web-0), 10.244.2.7:80" */
const describeService = (found: ServicePort, { attachments }: Survey): string => {
  const { kind, address, port, protocol, service, endpoints, by } = found
  const at = address === undefined ? `${port}/${protocol}` : `${address} ${port}/${protocol}`
  const ways = endpoints.map(endpoint => {
    const own = attachments.find(({ addresses }) =>
      addresses.some(each => [`${each}:`, `[${each}]:`].some(start => endpoint.startsWith(start))),
    )
    return own?.pod ? `${endpoint} (pod ${own.pod})` : endpoint
  })
  const to = ways.length > 0 ? `→ ${ways.join(', ')}` : 'has no endpoint'
  return `${at} is the ${kind} of Service ${service} (kube-proxy, ${by}) ${to}`
}

const lookUpAddress = (addr: Addr, survey: Survey, services: readonly ServicePort[]): Found => {
  const text = formatAddr(addr)
  const attachments = survey.attachments.filter(({ addresses }) => addresses.includes(text))
  const networks = ofNetworks(addr, survey)
  const isGateway = networks.some(line => line.includes('is the gateway'))
  const host = isGateway ? [] : ofHost(addr, survey)
  const isHosts = host.some(line => line.includes('of the host itself'))
  const own = services.filter(({ address }) => address === text)
  if (own.length > 0 && attachments.length === 0) return servicesFound(own, survey)
  const says = attachments.length > 0 ? [] : networks.length > 0 && !isHosts ? networks : host
  return { kind: 'address', attachments, says, isKnown: attachments.length + networks.length > 0 || isHosts }
}

const servicesFound = (services: readonly ServicePort[], survey: Survey): Found => ({
  kind: 'service',
  attachments: [],
  says: [...new Set(services.map(service => describeService(service, survey)))],
  isKnown: true,
})

type Port = {
  readonly port: number
  readonly protocol: string | undefined
  readonly hostIP: string | undefined
}

/** "8080", "8080/udp", ":8080", "192.0.2.1:8080", "[2001:db8::1]:8080/tcp". */
const parsePort = (text: string): Port | undefined => {
  const [, v6, v4, digits = '', protocol] =
    /^(?:\[([0-9a-f:.]+)\]:|([0-9.]*):)?(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? []
  const port = Number(digits)
  return digits !== '' && port >= 1 && port <= 65_535
    ? { port, protocol: protocol?.toLowerCase(), hostIP: v6 || v4 || undefined }
    : undefined
}

const fits = ({ port, protocol, hostIP }: Port, found: HostPort): boolean =>
  found.hostPort === port &&
  (protocol === undefined || found.protocol === protocol) &&
  (hostIP === undefined || found.hostIP === undefined || found.hostIP === hostIP)

/** Is the port of a Service meant: its NodePort, or one of an address of its own? */
const isMeant = ({ port, protocol, hostIP }: Port, service: ServicePort): boolean =>
  service.port === port &&
  (protocol === undefined || service.protocol === protocol) &&
  (service.address === undefined || service.address === hostIP)

const lookUpPort = (wanted: Port, survey: Survey, services: readonly ServicePort[]): Found => {
  const attachments = survey.attachments.filter(({ ports }) => ports.some(port => fits(wanted, port)))
  const listening = Object.entries(listeningPorts()).filter(
    ([protocol, ports]) => (wanted.protocol ?? protocol) === protocol && ports.has(wanted.port),
  )
  const says = listening.map(([protocol]) => `a program of the host listens on ${wanted.port}/${protocol}`)
  const meant = services.filter(service => isMeant(wanted, service))
  if (meant.length > 0 && attachments.length === 0) return servicesFound(meant, survey)
  return { kind: 'host port', attachments, says, isKnown: attachments.length + says.length > 0 }
}

const lookUpName = (name: string, { attachments }: Survey): Found => {
  const exact = attachments.filter(
    ({ pod, veth, containerID, ifbs }) =>
      [pod, veth?.name, containerID].includes(name) || ifbs.some(ifb => ifb.name === name),
  )
  const ofName = exact.length > 0 ? exact : attachments.filter(({ pod }) => pod?.split('/')[1] === name)
  const pods = [...new Set(ofName.map(({ pod }) => pod))]
  if (exact.length === 0 && pods.length > 1)
    throw usageError(`${pods.length} pods are called "${name}": ${pods.join(', ')}`, 'name one of them')
  const found =
    ofName.length > 0 ? ofName : attachments.filter(({ containerID }) => containerID.startsWith(name))
  return { kind: 'container', attachments: found, says: [], isKnown: found.length > 0 }
}

/**
 * Looks for an address, a port of the host or of a Service, and a container by ID, by the first digits of it, by pod name or by
 * interface. Digits alone are a port, unless no port of that number is known and a container's ID begins so.
 */
export const lookUp = (text: string, survey: Survey, services: readonly ServicePort[]): Found => {
  const addr = parseAddr(text)
  if (addr) return lookUpAddress(addr, survey, services)
  const port = parsePort(text)
  const byPort = port && lookUpPort(port, survey, services)
  if (byPort?.isKnown) return byPort
  const byName = lookUpName(text, survey)
  return byPort && !byName.isKnown ? byPort : byName
}
