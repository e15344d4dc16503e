/**
 * One reading of a node that puts together what no other program does: leases and records, cached results, network
 * namespaces, veths and bridges, rules in nftables and iptables, host ports, rates; and what of it does not fit.
 * Nothing is changed by it.
 */

import { capacityOf, formatRangeSet, isAllocatable, type RangeSet } from '../../plugins/host-local/range'
import { parseAddr } from '../../src/ip/addr'
import { completeAttachments, type NodeAttachment } from './attachments'
import { findLeaseFaults } from './find-leases'
import { findLeftovers } from './find-leftovers'
import { findBridgeFaults, findLinkFaults } from './find-links'
import { findRouteFaults } from './find-routes'
import { findRuleFaults } from './find-rules'
import type { Finding } from './finding'
import { join } from './join'
import type { Network } from './networks'
import { type Readings, readNode, type SurveyPlaces, type Tell } from './readings'

/** One range set: every container of the network gets an address of it. */
export type Pool = {
  readonly network: string
  /** "10.244.1.1-10.244.1.254" */
  readonly ranges: string
  readonly family: 4 | 6
  /** How many addresses can be given out in all; not exact above 2^53, as IPv6 networks have them. */
  readonly total: number
  readonly used: number
  /** Of those used, the leaked ones. */
  readonly leaked: number
  readonly free: number
}

const poolOf = (
  { name, ipam }: Network,
  set: RangeSet,
  { leases, gone }: { leases: Readings['leases']; gone: ReadonlySet<string> },
): Pool => {
  const withheld = ipam?.withheld ?? []
  const taken = leases.filter(({ network, dataDir, address }) => {
    if (network !== name || dataDir !== ipam?.dataDir) return false
    const addr = parseAddr(address)
    return addr !== undefined && isAllocatable(set, withheld, addr)
  })
  const total = Number(capacityOf(set, withheld))
  const leaked = taken.filter(
    ({ address, containerID }) => containerID === undefined || gone.has(`${name} ${address}`),
  )
  return {
    network: name,
    ranges: formatRangeSet(set),
    family: set.ranges[0].start.family,
    total,
    used: taken.length,
    leaked: leaked.length,
    free: Math.max(0, total - taken.length),
  }
}

/** The pools of all networks that have their addresses from host-local. */
const poolsOf = (attachments: readonly NodeAttachment[], { networks, leases }: Readings): Pool[] => {
  const gone = new Set(
    attachments
      .filter(({ state }) => state === 'gone')
      .flatMap(entry => entry.leases.map(({ network, address }) => `${network} ${address}`)),
  )
  return networks.flatMap(network =>
    (network.ipam?.rangeSets ?? []).map(set => poolOf(network, set, { leases, gone })),
  )
}

/** A node as a whole. */
export type Survey = {
  readonly readings: Readings
  /** Sorted by network, then by address. */
  readonly attachments: readonly NodeAttachment[]
  readonly pools: readonly Pool[]
  /** The faults: failures first. */
  readonly findings: readonly Finding[]
  /** How long it took. */
  readonly ms: number
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const mostDigits = 3

/** The sort key of an attachment: its network, and its address so that 10.0.0.9 comes before 10.0.0.10. */
const sortKey = ({ network, addresses: [first = ''], containerID }: NodeAttachment): string =>
  [network, first.replace(/\d+/g, digits => digits.padStart(mostDigits, '0')), containerID].join('\0')

const sorted = (attachments: readonly NodeAttachment[]): NodeAttachment[] =>
  attachments
    .map(attachment => ({ attachment, key: sortKey(attachment) }))
    .sort((a, b) => compare(a.key, b.key))
    .map(({ attachment }) => attachment)

const bySeverity = (a: Finding, b: Finding): number =>
  Number(b.severity === 'fail') - Number(a.severity === 'fail')

/** Makes a survey of what was read. */
const surveyOf = (readings: Readings, ms = 0): Survey => {
  const { drafts, strangers, elements, ifbs } = join(readings)
  const attachments = sorted(completeAttachments(drafts, readings))
  const findings = [
    ...findBridgeFaults(attachments, readings),
    ...findLinkFaults(attachments, strangers, readings),
    ...findRouteFaults(attachments, readings),
    ...findLeaseFaults(attachments, readings),
    ...findRuleFaults(attachments, elements, readings),
    ...findLeftovers(attachments, ifbs, readings),
  ].sort(bySeverity)
  return { readings, attachments, pools: poolsOf(attachments, readings), findings, ms }
}

/** Reads the node, telling what of it now, and makes a survey of it. Without root it has less in it, and says what. */
export const takeSurvey = async (places: SurveyPlaces, tell: Tell = () => {}): Promise<Survey> => {
  const started = performance.now()
  const readings = await readNode(places, tell)
  tell('what belongs together')
  const survey = surveyOf(readings)
  return { ...survey, ms: Math.round(performance.now() - started) }
}
