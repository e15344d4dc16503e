/**
 * One reading of a node that puts together what nobody else does: leases and records, cached results, network
 * namespaces, veths and bridges, rules in nftables and iptables, host ports, rates; and what of it does not fit.
 * Nothing is changed by it.
 */
import { completeAttachments, type NodeAttachment } from './attachments'
import { findBridgeFaults } from './find-bridges'
import { findLeaseFaults } from './find-leases'
import { findLeftovers } from './find-leftovers'
import { findLinkFaults } from './find-links'
import { findRuleFaults } from './find-rules'
import type { Finding } from './finding'
import { join } from './join'
import { type Pool, poolsOf } from './pools'
import { type Readings, readNode, type SurveyPlaces, type Tell } from './readings'

/** A node as a whole. */
export type Survey = {
  readonly readings: Readings
  /** Sorted by network, then by address. */
  readonly attachments: readonly NodeAttachment[]
  readonly pools: readonly Pool[]
  /** What does not fit: failures first. */
  readonly findings: readonly Finding[]
  /** How long it took. */
  readonly ms: number
}

/** Made once: what it would cost to make it for every pair is more than all else here. */
const byNumbers = new Intl.Collator('en', { numeric: true })

const compareAddresses = (a: NodeAttachment, b: NodeAttachment): number => {
  const [first = '', second = ''] = [a.addresses[0], b.addresses[0]]
  return (
    a.network.localeCompare(b.network) ||
    byNumbers.compare(first, second) ||
    a.containerID.localeCompare(b.containerID)
  )
}

const bySeverity = (a: Finding, b: Finding): number =>
  Number(b.severity === 'fail') - Number(a.severity === 'fail')

/** Makes a survey of what was read. */
export const surveyOf = (readings: Readings, ms = 0): Survey => {
  const { drafts, strangers, elements, ifbs } = join(readings)
  const attachments = completeAttachments(drafts, readings).sort(compareAddresses)
  const findings = [
    ...findBridgeFaults(attachments, readings),
    ...findLinkFaults(attachments, strangers, readings),
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
