/** The faults of a node. */

import type { Attachment } from '../../src/attachment/attachment'
import { printable } from '../../src/host/output'
import type { Family } from '../../src/ip/addr'
import type { NodeAttachment } from './attachments'
import type { Severity } from './fault'
import { codeOf, type FaultCode, type FindingKind, faults } from './faults'
import type { Readings } from './readings'
import type { RulesetElement } from './ruleset'

/** An attachment, and its pod where that is known. */
type AttachmentOfPod = Attachment & { readonly pod?: string }

/** A change that takes nothing from a live container: what "kubenet doctor --fix" does. */
export type Repair =
  /** DEL by the plugins of its network: all that is left of a container that is gone, at once. */
  | { readonly do: 'detach'; readonly owner: AttachmentOfPod }
  | {
      readonly do: 'release-lease'
      readonly dataDir: string
      readonly network: string
      readonly address: string
    }
  | { readonly do: 'release-ports'; readonly owner: AttachmentOfPod }
  | { readonly do: 'drop-claim'; readonly claim: string; readonly holder: string }
  | { readonly do: 'erase-element'; readonly element: RulesetElement }
  | { readonly do: 'delete-ifb'; readonly name: string; readonly index: number }
  | { readonly do: 'set-sysctl'; readonly key: string; readonly value: string }
  | { readonly do: 'set-link'; readonly link: LinkRepair }
  /** What kubelet's own kubenet left in iptables, in ebtables or on its bridge. */
  | {
      readonly do: 'remove-kubelet'
      readonly part: 'nat'
      readonly family: Family
      readonly variant: 'nft' | 'legacy'
    }
  | { readonly do: 'remove-kubelet'; readonly part: 'dedup' }
  | { readonly do: 'remove-kubelet'; readonly part: 'htb'; readonly index: number }

/** A host's veth that is to be as its attachment needs it; what is undefined stays. */
export type LinkRepair = {
  readonly name: string
  readonly index: number
  /** The owner that it must still have: its alias when it was looked at. */
  readonly alias: string
  readonly bridge: string | undefined
  readonly mtu: number | undefined
  readonly up: boolean
  /** The container's end, for its MTU; undefined where it cannot be reached. */
  readonly inside: { readonly netns: string; readonly ino: number; readonly name: string } | undefined
}

/** The owner of an object, as far as it names one: without an interface where it names the container alone. */
type FindingOwner = Pick<NodeAttachment, 'containerID' | 'ifName' | 'pod'>

/** One thing that does not fit. */
export type Finding = {
  readonly code: FaultCode
  readonly severity: Severity
  readonly what: FindingKind
  /** "lease 10.244.1.7 of network "pods"". */
  readonly object: string
  readonly network: string | undefined
  /** The attachment it belongs to; undefined where nothing tells. */
  readonly owner: FindingOwner | undefined
  /** How old the object is, in milliseconds; undefined where nothing tells. */
  readonly age: number | undefined
  readonly cause: string
  readonly remedy: string
  /** How it is repaired without asking; undefined if that could harm a live container. */
  readonly repair: Repair | undefined
}

/** The parts of a finding beyond its attachment. */
type About = Pick<Finding, 'what' | 'object' | 'cause' | 'remedy'> & {
  readonly repair?: Repair | undefined
}

/** What the table of faults says of a kind. */
const ofKind = (what: FindingKind): Pick<Finding, 'code' | 'severity'> => {
  const code = codeOf(what)
  return { code, severity: faults[code].severity }
}

/** The duration of an ADD from its first step to its last, with much to spare. */
const settlingMs = 2000

/** Does the container live, and is its ADD over? Before that, something is always missing. */
export const isSettled = ({ state, since = 0 }: NodeAttachment, now: number): boolean =>
  state === 'running' && now - since >= settlingMs

/** "container 4f2a, interface eth0, pod default/web" */
export const describeOwner = ({ containerID, ifName, pod }: FindingOwner): string =>
  [`container ${containerID}`, ifName && `interface ${ifName}`, pod && `pod ${printable(pod)}`]
    .filter(Boolean)
    .join(', ')

/** A finding about an attachment, at the time `now`. */
export const findingOn = (attachment: NodeAttachment, now: number, about: About): Finding => {
  const { network, containerID, ifName, pod, since } = attachment
  return {
    ...ofKind(about.what),
    ...about,
    repair: about.repair,
    network: network || undefined,
    owner: { containerID, ifName, pod },
    age: since === undefined ? undefined : Math.max(0, now - since),
  }
}

/** Is the finding about this attachment? */
export const isAbout = ({ owner, network }: Finding, attachment: NodeAttachment): boolean =>
  owner?.containerID === attachment.containerID &&
  owner.ifName === attachment.ifName &&
  network === (attachment.network || undefined)

/** Is the attachment worse off by it: is it about this one, or does it keep the whole network from working? */
export const concerns = (finding: Finding, attachment: NodeAttachment): boolean =>
  isAbout(finding, attachment) ||
  (finding.owner === undefined && finding.severity === 'fail' && finding.network === attachment.network)

/** A finding about something that has no owner. */
export const findingOnNobody = (about: About & { readonly network?: string | undefined }): Finding => ({
  ...ofKind(about.what),
  ...about,
  repair: about.repair,
  network: about.network,
  owner: undefined,
  age: undefined,
})

/**
 * The remedy for a leftover of an attachment that is gone: DEL where its network is still configured, else the object's
 * own repair if it has one. Only what is proven is repaired without asking.
 */
export const leftover = (
  { network, containerID, ifName, pod, proven }: NodeAttachment,
  { lists }: Pick<Readings, 'lists'>,
  ofObject?: Repair,
): Pick<About, 'remedy' | 'repair'> => {
  const isConfigured = lists.some(({ name }) => name === network)
  const detach: Repair = { do: 'detach', owner: { network, containerID, ifName, ...(pod && { pod }) } }
  const repair = proven ? (isConfigured && ifName !== '' ? detach : ofObject) : undefined
  if (repair) return { remedy: '"kubenet doctor --fix" removes it', repair }
  const remedy = isConfigured
    ? `"kubenet gc ${network}" shows all that is left, with --yes it removes it`
    : 'its network is not configured any more: remove it by hand if it is not needed'
  return { remedy, repair }
}
