/** Claims of host ports, ifbs and cached results without a container; limits and ports that are not as asked for. */

import { containerWithPod, keyOf } from '../../src/attachment/attachment'
import { isJsonObject } from '../../src/cni/schema'
import type { NodeAttachment } from './attachments'
import type { FindingKind } from './faults'
import { type Finding, findingOn, findingOnNobody, isSettled, leftover, type Repair } from './finding'
import type { HostLink } from './links'
import type { ClaimFile, Readings } from './readings'

const portOf = (claim: string): string => claim.replace(/\/.*/, '').replace(/^(\w+)-(\d+)$/, '$2/$1')

const ofDead = (attachment: NodeAttachment, readings: Readings): Finding[] => {
  if (attachment.state !== 'gone') return []
  const { portOwner, portRules, cached, ifbs, why: cause } = attachment
  const on = (what: FindingKind, object: string, repair?: Repair) =>
    findingOn(attachment, readings.host.now, {
      what,
      object,
      cause,
      ...leftover(attachment, readings, repair),
    })
  // Ports whose rules are still there must stay taken: the next container would get none of the connections.
  const release: Repair | undefined =
    portOwner && portRules.length === 0 ? { do: 'release-ports', owner: idOf(portOwner) } : undefined
  return [
    ...(portOwner?.claims ?? []).map(claim =>
      on('claim-without-pod', `claim of host port ${portOf(claim)}`, release),
    ),
    ...ifbs.map(ifb => on('ifb-without-pod', `ifb ${ifb.name}`, ifbRepair(ifb, readings.shaping))),
    ...(cached ? [on('cache-without-pod', 'cached result')] : []),
  ]
}

const idOf = ({ network, containerID, ifName, pod }: NodeAttachment['portOwner'] & object) => ({
  network,
  containerID,
  ifName,
  ...(pod !== undefined && { pod }),
})

/** An ifb that nothing is sent to does nothing: it may go. */
const ifbRepair = ({ name, index }: HostLink, shaping: Readings['shaping']): Finding['repair'] =>
  shaping && !shaping.used.has(index) ? { do: 'delete-ifb', name, index } : undefined

const ifbsOfNobody = (ifbs: readonly HostLink[], { shaping }: Readings): Finding[] =>
  ifbs.map(ifb => {
    const repair = ifbRepair(ifb, shaping)
    return findingOnNobody({
      what: 'ifb-without-pod',
      object: `ifb ${ifb.name}`,
      cause: repair ? 'its owner is unknown, and no redirect leads to it' : 'its owner is unknown',
      remedy: repair ? '"kubenet doctor --fix" removes it' : `ip link del ${ifb.name}, if it is not needed`,
      repair,
    })
  })

/** Claims whose owner has no record: a crash, or another program's hand. */
const claimsOfNobody = (claims: readonly ClaimFile[], { portOwners }: Readings): Finding[] => {
  const keys = new Set(portOwners.map(keyOf))
  return claims
    .filter(({ holder }) => !keys.has(holder))
    .map(({ claim, holder }) =>
      findingOnNobody({
        what: 'claim-without-pod',
        object: `claim of host port ${portOf(claim)}`,
        cause: 'there is no record of its owner',
        remedy: '"kubenet doctor --fix" removes it',
        repair: { do: 'drop-claim', claim, holder },
      }),
    )
}

/** Limits that the runtime asked for and that are not there. */
const missingLimits = (attachment: NodeAttachment, { host, shaping }: Readings): Finding[] => {
  const asked = attachment.cached?.capabilityArgs?.bandwidth
  if (!isJsonObject(asked) || !shaping || !attachment.veth || !isSettled(attachment, host.now)) return []
  const rate = (key: string): number => {
    const found = Object.entries(asked).find(([name]) => name.toLowerCase() === key.toLowerCase())?.[1]
    return typeof found === 'number' ? found : 0
  }
  const missing = [
    ...(rate('ingressRate') > 0 && attachment.ingressBits === undefined ? ['into'] : []),
    ...(rate('egressRate') > 0 && attachment.egressBits === undefined ? ['out of'] : []),
  ]
  return missing.map(way =>
    findingOn(attachment, host.now, {
      what: 'limit-missing',
      object: `limit of traffic ${way} the container`,
      cause: 'its runtime requested one, and there is none',
      remedy: '"kubenet sync" sets it again',
    }),
  )
}

const placeKey = (protocol: string, hostPort: number, hostIP: string | undefined, address: string): string =>
  [protocol, hostPort, hostIP ?? 'any', address.includes(':') ? 6 : 4].join(' ')

/** Ports that rules lead to several containers: the first rule wins, the others get nothing. */
const portConflicts = (attachments: readonly NodeAttachment[], now: number): Finding[] => {
  const first = new Map<string, NodeAttachment>()
  return attachments
    .filter(({ state }) => state === 'running')
    .flatMap(attachment =>
      attachment.ports.flatMap(({ protocol, hostPort, hostIP, target }) => {
        if (!target) return []
        const key = placeKey(protocol, hostPort, hostIP, target.address)
        const other = first.get(key)
        first.set(key, other ?? attachment)
        if (!other || other.containerID === attachment.containerID) return []
        return [
          findingOn(attachment, now, {
            what: 'port-conflict',
            object: `host port ${hostPort}/${protocol}`,
            cause: `container ${containerWithPod(other)} has it too; only one of them is reached`,
            remedy: 'delete one of the containers, or give it another host port',
          }),
        ]
      }),
    )
}

/** Finds what is left of containers that are gone, and what those that live lack; `ifbs` have no owner. */
export const findLeftovers = (
  attachments: readonly NodeAttachment[],
  ifbs: readonly HostLink[],
  readings: Readings,
): Finding[] => [
  ...portConflicts(attachments, readings.host.now),
  ...attachments.flatMap(attachment => [
    ...missingLimits(attachment, readings),
    ...ofDead(attachment, readings),
  ]),
  ...ifbsOfNobody(ifbs, readings),
  ...claimsOfNobody(readings.claims, readings),
]
