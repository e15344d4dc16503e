/** Rules that are missing, and leftover rules. */
import { parseAddr } from '../../src/ip/addr'
import type { NodeAttachment } from './attachments'
import { type Finding, findingOn, findingOnNobody, isSettled, leftover } from './finding'
import { isListed } from './iptables'
import type { Network } from './networks'
import type { Readings } from './readings'
import type { RulesetElement } from './ruleset'

const nameOf = (element: RulesetElement): string =>
  element.kind === 'pod'
    ? `element ${element.address} in set ${element.set}`
    : `element ${element.claim} in map ${element.set}`

const syncRemedy =
  'delete the container and start it again, or "kubenet sync" to write the rules of all again'

/** A network whose own rules are gone: after "nft flush ruleset", for one. */
const missingFrame = (
  network: Network,
  attachments: readonly NodeAttachment[],
  readings: Readings,
): Finding[] => {
  const used = attachments.some(({ network: name, state }) => name === network.name && state === 'running')
  if (network.masquerade?.by !== 'kubenet' || !used || readings.framed.has(network.name)) return []
  return [
    findingOnNobody({
      what: 'ruleset-missing',
      object: `rules of network "${network.name}" in table inet kubenet`,
      network: network.name,
      cause: 'they are missing or not as configured: nothing is masqueraded, and no host port works',
      remedy: '"kubenet sync" writes them again',
    }),
  ]
}

/** The addresses of the attachment's leases that its network masquerades. */
const masqueraded = ({ leases }: NodeAttachment, { masquerade }: Network): string[] =>
  leases
    .map(({ address }) => address)
    .filter(address => masquerade?.families.some(family => parseAddr(address)?.family === family))

const missingMasquerade = (attachment: NodeAttachment, network: Network, readings: Readings): Finding[] => {
  const { by } = network.masquerade ?? {}
  const { host } = readings
  if (by === undefined) return []
  const isRead = by === 'iptables' ? isListed(readings.iptables, 'nat') : readings.ruleset
  const isWhole = by !== 'kubenet' || readings.framed.has(network.name)
  if (!isRead || !isWhole) return []
  const there =
    by === 'kubenet'
      ? attachment.elements.filter(({ kind }) => kind === 'pod').map(({ address }) => address)
      : attachment.masquerades.filter(rule => rule.by === by).map(({ address }) => address)
  return masqueraded(attachment, network)
    .filter(address => !there.includes(address))
    .map(address =>
      findingOn(attachment, host.now, {
        what: by === 'kubenet' ? 'element-missing' : 'rule-missing',
        object:
          by === 'kubenet'
            ? `element ${address} in set pods of "${network.name}"`
            : `masquerade rule of ${address}`,
        cause: `packets from ${address} leave the node with that address, and no reply comes back`,
        remedy: syncRemedy,
      }),
    )
}

const portsWithoutRule = (attachment: NodeAttachment, readings: Readings): Finding[] => {
  if (!readings.ruleset || !isListed(readings.iptables, 'nat')) return []
  return attachment.ports
    .filter(({ target }) => !target)
    .map(({ protocol, hostPort, hostIP }) =>
      findingOn(attachment, readings.host.now, {
        what: 'port-without-rule',
        object: `host port ${hostPort}/${protocol}${hostIP ? ` of ${hostIP}` : ''}`,
        cause: 'the container has it, but no rule leads there',
        remedy: syncRemedy,
      }),
    )
}

/** Elements of a living container that lead to an address it has not. */
const astray = (attachment: NodeAttachment, now: number): Finding[] =>
  attachment.elements
    .filter(({ address }) => attachment.leases.length > 0 && !attachment.addresses.includes(address))
    .map(element =>
      findingOn(attachment, now, {
        what: 'element-astray',
        object: nameOf(element),
        cause: `it leads to ${element.address}, and the container has ${attachment.addresses.join(', ')}`,
        remedy: syncRemedy,
      }),
    )

const ofLiving = (attachment: NodeAttachment, readings: Readings): Finding[] => {
  const network = readings.networks.find(({ name }) => name === attachment.network)
  if (!isSettled(attachment, readings.host.now)) return []
  return [
    ...(network ? missingMasquerade(attachment, network, readings) : []),
    ...portsWithoutRule(attachment, readings),
    ...astray(attachment, readings.host.now),
  ]
}

/** The rules and chains of bridge and portmap, each place once. */
const rulePlaces = ({ masquerades, portRules }: NodeAttachment): string[] => [
  ...new Set([
    ...masquerades.map(({ where, by }) => `masquerade rules in ${where} (${by})`),
    ...portRules.map(({ where, by }) => `host port rules in ${where} (${by})`),
  ]),
]

const ofDead = (attachment: NodeAttachment, readings: Readings): Finding[] => {
  if (attachment.state !== 'gone') return []
  const { now } = readings.host
  const left = { cause: attachment.why }
  return [
    ...attachment.elements.map(element =>
      findingOn(attachment, now, {
        ...left,
        what: 'element-without-pod',
        object: nameOf(element),
        ...leftover(attachment, readings, { do: 'erase-element', element }),
      }),
    ),
    ...rulePlaces(attachment).map(object =>
      findingOn(attachment, now, {
        ...left,
        what: 'rule-without-pod',
        object,
        ...leftover(attachment, readings),
      }),
    ),
  ]
}

const ofNobody = (elements: readonly RulesetElement[]): Finding[] =>
  elements.map(element =>
    findingOnNobody({
      what: 'element-without-pod',
      object: nameOf(element),
      network: element.kind === 'pod' ? element.network : undefined,
      cause: `its comment ${JSON.stringify(element.comment)} names no known container`,
      remedy: '"kubenet gc" of its network removes it',
    }),
  )

/** Checks of MACs whose veth is gone. */
const deadChecks = ({ ruleset, links }: Readings): Finding[] => {
  const names = new Set(links.map(({ name }) => name))
  return (ruleset?.spoofChecks ?? [])
    .filter(({ hostName }) => hostName && !names.has(hostName))
    .map(({ ref, hostName }) =>
      findingOnNobody({
        what: 'rule-without-pod',
        object: `MAC check of ${ref} in table bridge nat`,
        cause: `its interface "${hostName}" is gone`,
        remedy: '"kubenet gc" of its network removes it',
      }),
    )
}

/** Compares rules with attachments; `elements` are those whose comments name no known container. */
export const findRuleFaults = (
  attachments: readonly NodeAttachment[],
  elements: readonly RulesetElement[],
  readings: Readings,
): Finding[] => [
  ...(readings.ruleset
    ? readings.networks.flatMap(network => missingFrame(network, attachments, readings))
    : []),
  ...attachments.flatMap(attachment => [...ofLiving(attachment, readings), ...ofDead(attachment, readings)]),
  ...ofNobody(elements),
  ...deadChecks(readings),
]
