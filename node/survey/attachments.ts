/** The attachments of a node: one interface of one container on one network, with all that belongs to it. */
import { subjectOf as subjectOfRecord } from '../../plugins/host-local/liveness'
import { subjectOf as subjectOfOwner } from '../../plugins/portmap/records'
import { familyOf, isEveryAddress, parseClaim } from '../../src/attachment/host-ports'
import { isJsonObject } from '../../src/cni/schema'
import { type Claimant, claimantsOf, judgeLife, type Subject, type Verdict } from '../../src/life/judge'
import { podInPairs } from '../../src/runtime/attachment'
import type { Draft } from './draft'
import { namespacePath } from './namespaces'
import type { PortRule } from './port-rules'
import type { CachedAttachment, Readings } from './readings'

/**
 * Does the container of an attachment still live? The judgement of src/life, and what a survey guesses beyond it.
 * "running": its namespace is there. "gone": it is not. "unknown": nothing tells for sure.
 */
type State = 'running' | 'gone' | 'unknown'

/** The evidence for a state. Only what is `proven` may be cleaned up without asking. */
type Judgement = { readonly state: State; readonly why: string; readonly proven: boolean }

/** Younger ones are not judged: its runtime may be just putting the namespace in place. */
const graceMs = 60_000

const running = (why: string): Judgement => ({ state: 'running', why, proven: true })
const gone = (why: string, proven: boolean): Judgement => ({ state: 'gone', why, proven })
const unknown = (why: string): Judgement => ({ state: 'unknown', why, proven: false })

/** A namespace by its path alone, which is all a runtime remembers. */
const judgePath = (path: string, { namespaces, here }: Readings): Judgement => {
  const there = here.netnsAt(path)
  if (there === 'hidden') return unknown(`${path} cannot be read`)
  if (there === 'nothing') return gone(`${path} is gone`, false)
  if (there.dev === namespaces.own.dev) return running(`${path} is there`)
  return gone(`${path} is no network namespace any more`, false)
}

/** A pair of which one end is here: a veth dies with the namespace its other end is in. */
const judgeVeth = ({ veth, container }: Draft): Judgement | undefined => {
  if (!veth || veth.peer === 0) return undefined
  if (container) return running(`${container.name} is in ${namespacePath(container.netns)}`)
  return veth.peerNsid === undefined ? undefined : running(`the other end of ${veth.name} is in a namespace`)
}

/** The records of an attachment, the best first. */
const subjectsOf = ({ leases, portOwner, network }: Draft): Subject[] => [
  ...leases.flatMap(({ record }) => (record ? [subjectOfRecord(record, network)] : [])),
  ...(portOwner?.netns ? [subjectOfOwner(portOwner)] : []),
]

const judgementOf = ({ state, why }: Verdict): Judgement => {
  if (state === 'alive') return running(why)
  return state === 'dead' ? gone(why, true) : unknown(why)
}

/** The owners of namespaces, by the records of leases and host ports. */
const claimantsIn = ({ leases, portOwners }: Readings): Claimant[] =>
  claimantsOf([
    ...leases.flatMap(({ record, network }) => (record ? [subjectOfRecord(record, network)] : [])),
    ...portOwners.map(subjectOfOwner),
  ])

/** Judges an attachment by the best evidence there is. */
const judge = (draft: Draft, readings: Readings): Judgement => {
  const byVeth = judgeVeth(draft)
  if (byVeth) return byVeth
  const subject = subjectsOf(draft).find(({ netns, made }) => netns ?? made)
  const byRecord =
    subject &&
    judgementOf(judgeLife(subject, readings.here, { graceMs, claimants: () => claimantsIn(readings) }))
  const { cached } = draft
  if (byRecord && (subject.netns || byRecord.proven || !cached?.netns)) return byRecord
  if (cached?.netns) return judgePath(cached.netns, readings)
  if (draft.leases.length > 0 && readings.insides?.closed === 0 && readings.namespaces.complete) {
    return gone('no network namespace of the node has its address', false)
  }
  return draft.leases.length > 0
    ? unknown('its network namespace is unknown')
    : gone('nothing else is left of it', false)
}

/** A port of the host that leads, or should lead, to a container. */
export type HostPort = {
  readonly protocol: string
  readonly hostPort: number
  /** Undefined: on every address of the host. */
  readonly hostIP: string | undefined
  /** Where it leads to; undefined for a port that is claimed and has no rule. */
  readonly target: { readonly address: string; readonly containerPort: number } | undefined
  /** The program whose rules it is in. */
  readonly by: 'kubenet' | PortRule['by'] | undefined
}

/** An attachment. */
export type NodeAttachment = Omit<Draft, 'elements'> &
  Judgement & {
    /** The name that Kubernetes has for it: "namespace/name". */
    readonly pod: string | undefined
    /** Milliseconds since the epoch; undefined where nothing tells. */
    readonly since: number | undefined
    /** Without prefix lengths, each once, IPv4 first: those leased, then others that its interface or its result has. */
    readonly addresses: readonly string[]
    readonly bridge: string | undefined
    readonly ports: readonly HostPort[]
    /** Bits a second into the container and out of it; undefined: no limit. */
    readonly ingressBits: number | undefined
    readonly egressBits: number | undefined
    readonly elements: Draft['elements']
  }

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)]

const bare = (cidr: string): string => cidr.split('/')[0] ?? cidr

/** The addresses in a cached result of any version. */
const resultAddresses = ({ result }: Pick<CachedAttachment, 'result'>): string[] => {
  const ips = Array.isArray(result?.ips) ? result.ips : []
  const old = [result?.ip4, result?.ip6].map(ip => (isJsonObject(ip) ? ip.ip : undefined))
  return [...ips.map(ip => (isJsonObject(ip) ? ip.address : undefined)), ...old]
    .filter(address => typeof address === 'string')
    .map(bare)
}

const podName = ({ cached, portOwner, leases }: Draft): string | undefined =>
  podInPairs(cached?.args) ?? portOwner?.pod ?? leases.find(({ record }) => record?.pod)?.record?.pod

const hostIPOf = (claim: string): string | undefined => {
  const { where } = parseClaim(claim)
  return isEveryAddress(where) ? undefined : where
}

const portKey = ({ protocol, hostPort, hostIP, target }: HostPort): string =>
  [protocol, hostPort, hostIP, target?.address].join(' ')

/** The ports that rules lead to an attachment, and those it claims without a rule. */
const portsOf = ({ elements, portRules, portOwner }: Draft): HostPort[] => {
  const ports = new Map<string, HostPort>()
  const add = (port: HostPort) => ports.set(portKey(port), port)
  for (const element of elements) {
    if (element.kind !== 'port') continue
    const { protocol, hostPort } = parseClaim(element.claim)
    const { address, containerPort } = element
    add({
      protocol,
      hostPort,
      hostIP: hostIPOf(element.claim),
      target: { address, containerPort },
      by: 'kubenet',
    })
  }
  for (const { dnat, by } of portRules) {
    if (!dnat) continue
    const { address, containerPort, ...port } = dnat
    add({ ...port, target: { address, containerPort }, by })
  }
  const openKey = (protocol: string, hostPort: number, at: string) =>
    `${protocol} ${hostPort} ${familyOf(at)}`
  const open = new Set(
    [...ports.values()].map(({ protocol, hostPort, target }) =>
      openKey(protocol, hostPort, target?.address ?? ''),
    ),
  )
  // Of those it waits for another interface of the container has the rule.
  const waiting = new Set(portOwner?.waiting?.map(({ claim }) => claim))
  for (const claim of portOwner?.claims.filter(claim => !waiting.has(claim)) ?? []) {
    const { protocol, hostPort, where } = parseClaim(claim)
    if (!open.has(openKey(protocol, hostPort, where)))
      add({ protocol, hostPort, hostIP: hostIPOf(claim), target: undefined, by: undefined })
  }
  return [...ports.values()].sort((a, b) => a.hostPort - b.hostPort)
}

const sinceOf = ({ leases, cached }: Draft): number | undefined => {
  const times = [...leases.map(({ madeAt }) => madeAt), cached?.madeAt].filter(time => time)
  return times.length > 0 ? Math.min(...times.filter(time => time !== undefined)) : undefined
}

const complete = (draft: Draft, readings: Readings, names: ReadonlyMap<number, string>): NodeAttachment => {
  const { veth, cached, container, leases } = draft
  const { shaping } = readings
  const ifb = veth && shaping?.redirects.get(veth.index)
  return {
    ...draft,
    ...judge(draft, readings),
    pod: podName(draft),
    since: sinceOf(draft),
    addresses: unique([
      ...leases.map(({ address }) => address),
      ...(container?.addresses ?? []).map(bare),
      ...(cached ? resultAddresses(cached) : []),
    ]).sort((a, b) => Number(a.includes(':')) - Number(b.includes(':'))),
    bridge: veth && names.get(veth.master),
    ports: portsOf(draft),
    ingressBits: veth && shaping?.rates.get(veth.index),
    egressBits: ifb === undefined ? undefined : shaping?.rates.get(ifb),
  }
}

/** Completes drafts: the state of each, and what follows from what it has. */
export const completeAttachments = (drafts: readonly Draft[], readings: Readings): NodeAttachment[] => {
  const names = new Map(readings.links.map(({ index, name }) => [index, name]))
  return drafts.map(draft => complete(draft, readings, names))
}
