/**
 * The Services of Kubernetes whose addresses and ports kube-proxy leads to pods of this node and of others, as its rules
 * name them: by comments in iptables, by the names of its chains in nftables.
 */
import { type Iptables, rulesIn } from '../../node/survey/iptables'
import type { Survey } from '../../node/survey/survey'
import { isJsonObject } from '../../src/cni/schema'
import { exec, findProgram } from '../../src/host/exec'
import { chainOf, commentOf, targetOf } from '../../src/netfilter/iptables'

/** One port of a Service, as it is reached by one address or on every node. */
export type ServicePort = {
  /** "default/web", and the port's name with it where it has one: "default/web:http". */
  readonly service: string
  readonly kind: 'ClusterIP' | 'NodePort' | 'external address'
  /** Undefined for a NodePort. */
  readonly address: string | undefined
  readonly protocol: string
  readonly port: number
  /** "10.244.1.2:80" */
  readonly endpoints: readonly string[]
  readonly by: 'iptables' | 'nftables'
}

const families = [4, 6] as const

/** kube-proxy's chain for a Service that leads to others first: KUBE-EXT-…, in older versions KUBE-FW-… and KUBE-XLB-…. */
const isChainOfService = (name: string): boolean => /^KUBE-(SVC|SVL|EXT|FW|XLB|SEP)-/.test(name)

/** Where the rules of a chain lead to in the end. A chain of kube-proxy is never more than a few deep. */
const endpointsOf = (chain: string, byChain: ReadonlyMap<string, readonly string[]>, depth = 4): string[] =>
  (byChain.get(chain) ?? []).flatMap(rule => {
    const [, to] = / --to-destination (\S+)/.exec(rule) ?? []
    if (to) return [to]
    const target = targetOf(rule)
    return depth > 0 && isChainOfService(target) ? endpointsOf(target, byChain, depth - 1) : []
  })

const kindOf = (rule: string): ServicePort['kind'] | undefined => {
  if (chainOf(rule) === 'KUBE-NODEPORTS') return 'NodePort'
  if (chainOf(rule) !== 'KUBE-SERVICES' || !/ -d \S/.test(rule)) return undefined
  return / (external|loadbalancer) IP$/.test(commentOf(rule)) ? 'external address' : 'ClusterIP'
}

const readRule = (rule: string, byChain: ReadonlyMap<string, readonly string[]>): ServicePort[] => {
  const kind = kindOf(rule)
  const [, service] = /^([^/\s]+\/[^\s]+)/.exec(commentOf(rule)) ?? []
  const [, protocol] = / -p (tcp|udp|sctp)\b/.exec(rule) ?? []
  const [, port] = / --dport (\d+)/.exec(rule) ?? []
  if (!kind || !service || !protocol || !port) return []
  const [, address] = / -d ([^/\s]+)/.exec(rule) ?? []
  // Some lead traffic of outsiders to be masqueraded first; what leads on is a rule of its own.
  const isDetour = targetOf(rule) === 'KUBE-MARK-MASQ'
  return isDetour
    ? []
    : [
        {
          service: service.replace(/:$/, ''),
          kind,
          address: kind === 'NodePort' ? undefined : address,
          protocol,
          port: Number(port),
          endpoints: [...new Set(endpointsOf(targetOf(rule), byChain))],
          by: 'iptables',
        },
      ]
}

/** The Services in rules of iptables; one without endpoints is among those of the table filter. */
export const servicesInIptables = (read: readonly Iptables[]): ServicePort[] =>
  families.flatMap(family => {
    const nat = rulesIn(read, family, 'nat')
    const byChain = new Map<string, string[]>()
    for (const rule of nat) byChain.set(chainOf(rule), [...(byChain.get(chainOf(rule)) ?? []), rule])
    return [...nat, ...rulesIn(read, family, 'filter')].flatMap(rule => readRule(rule, byChain))
  })

const listAt = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

/** A chain or a map of `nft --json list table`. */
type NftObject = { readonly name: string; readonly elem: unknown }

const objectsOf = (listed: unknown, kind: 'chain' | 'map'): NftObject[] =>
  listAt(isJsonObject(listed) ? listed.nftables : undefined).flatMap(entry => {
    const object = isJsonObject(entry) ? entry[kind] : undefined
    return isJsonObject(object) && typeof object.name === 'string'
      ? [{ name: object.name, elem: object.elem }]
      : []
  })

/** "default/web/tcp/http" of "service-NWBZK7IH-default/web/tcp/http", by the hash that also begins external chains' names. */
const portOfChain = (name: string): string | undefined =>
  /^(?:service|external)-[A-Z0-9]+-(.+)$/.exec(name)?.[1]

/** "10.244.1.2:80" of "endpoint-5OJB2KTY-default/web/tcp/http__10.244.1.2/80". */
const endpointsIn = (chains: readonly NftObject[], port: string): string[] =>
  chains.flatMap(({ name }) => {
    const [, of, address = '', at] = /^endpoint-[A-Z0-9]+-(.+)__([^_/]+)\/(\d+)$/.exec(name) ?? []
    if (of !== port) return []
    // Colons are dots in the names of chains, and no IPv4 address has more than three.
    const parts = address.split('.')
    return [parts.length > 4 ? `[${parts.join(':')}]:${at}` : `${address}:${at}`]
  })

const readMapElement = (element: unknown, chains: readonly NftObject[]): ServicePort[] => {
  const [key, verdict] = listAt(element)
  const words = listAt(isJsonObject(key) ? key.concat : undefined)
  const goto = isJsonObject(verdict) && isJsonObject(verdict.goto) ? verdict.goto.target : undefined
  const chainPort = typeof goto === 'string' ? portOfChain(goto) : undefined
  if (!chainPort) return []
  const [namespace, name, , portName] = chainPort.split('/')
  const [port, protocol, address] = words.toReversed()
  const isExternal = String(goto).startsWith('external-')
  return [
    {
      service: `${namespace}/${name}${portName ? `:${portName}` : ''}`,
      kind: address === undefined ? 'NodePort' : isExternal ? 'external address' : 'ClusterIP',
      address: address === undefined ? undefined : String(address),
      protocol: String(protocol),
      port: Number(port),
      endpoints: endpointsIn(chains, chainPort),
      by: 'nftables',
    },
  ]
}

/** The Services in what `nft --json list table ip kube-proxy` prints. */
export const servicesInNft = (text: string): ServicePort[] => {
  const listed: unknown = JSON.parse(text)
  const chains = objectsOf(listed, 'chain')
  return objectsOf(listed, 'map')
    .filter(({ name }) => name === 'service-ips' || name === 'service-nodeports')
    .flatMap(({ elem }) => listAt(elem).flatMap(element => readMapElement(element, chains)))
}

/** The Services that kube-proxy knows on this node; those in nftables only where the program nft is there to list them. */
export const readServices = async ({ readings }: Survey): Promise<ServicePort[]> => {
  const found = servicesInIptables(readings.iptables ?? [])
  const nft = findProgram('nft')
  for (const family of ['ip', 'ip6']) {
    if (!nft || !readings.ruleset?.tables.includes(`${family} kube-proxy`)) continue
    found.push(...servicesInNft(await exec([nft, '--json', 'list', 'table', family, 'kube-proxy'])))
  }
  return found
}
