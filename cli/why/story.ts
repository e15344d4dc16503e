/** The parts of an attachment, a line each: the way from its lease to its last rule. */
import type { HostPort, NodeAttachment } from '../../node/survey/attachments'
import { describeOwner } from '../../node/survey/finding'
import { isUp } from '../../node/survey/links'
import type { Survey } from '../../node/survey/survey'
import { formatAge, formatBits, formatBytes } from '../frame/units'

/** One line: what it is about, and what there is. */
type StoryLine = { readonly part: string; readonly says: string }

/** A host port with what its packets pass. */
const portText = ({ protocol, hostPort, hostIP, target, by }: HostPort): string => {
  const from = `${hostIP === undefined ? '' : `${hostIP} `}${hostPort}/${protocol}`
  if (!target) return `${from} is claimed, but no rule leads there`
  const address = target.address.includes(':') ? `[${target.address}]` : target.address
  const where = by === 'kubenet' ? 'table inet kubenet' : `${by}, rules of portmap`
  return `${from} → ${address}:${target.containerPort} (${where})`
}

const leaseLines = ({ leases }: NodeAttachment, now: number): StoryLine[] =>
  leases.map(({ dataDir, network, address, madeAt, record }) => ({
    part: 'lease',
    says: `${dataDir}/${network}/${address}, made ${formatAge(now - madeAt)} ago${record ? '' : ', without a record: made by the reference plugin'}`,
  }))

const interfaceLines = ({ veth, container, bridge }: NodeAttachment): StoryLine[] => {
  if (!veth) return [{ part: 'interface', says: 'none that leads to the host was found' }]
  const inside = container
    ? ` ↔ ${container.name} (MAC ${container.mac}, MTU ${container.mtu}, ${container.up ? 'up' : 'down'})`
    : ''
  const port = bridge ? `port of ${bridge}` : 'port of no bridge'
  const hairpin = veth.hairpin ? ', hairpin' : ''
  return [
    {
      part: 'interface',
      says: `${veth.name} (MTU ${veth.mtu}, ${isUp(veth) ? 'up' : 'down'}, ${port}${hairpin})${inside}`,
    },
  ]
}

const ruleLines = ({ elements, masquerades }: NodeAttachment): StoryLine[] => [
  ...elements
    .filter(({ kind }) => kind === 'pod')
    .map(({ address, set }) => ({
      part: 'masquerade',
      says: `${address} in set ${set} of table inet kubenet`,
    })),
  ...[...new Set(masquerades.map(({ where, by }) => `${where} (${by})`))].map(says => ({
    part: 'masquerade',
    says,
  })),
]

const rateLines = ({ ingressBits, egressBits, veth, ifbs }: NodeAttachment): StoryLine[] => [
  ...(ingressBits === undefined
    ? []
    : [
        {
          part: 'rate',
          says: `${formatBits(ingressBits)}bit/s into the container, by tbf on ${veth?.name ?? '?'}`,
        },
      ]),
  ...(egressBits === undefined
    ? []
    : [
        {
          part: 'rate',
          says: `${formatBits(egressBits)}bit/s out of it, by tbf on ${ifbs[0]?.name ?? 'an ifb'}`,
        },
      ]),
]

/** The story of an attachment. */
export const storyOf = (attachment: NodeAttachment, { readings }: Survey): StoryLine[] => {
  const { state, why, network, veth, cached, ports } = attachment
  const { now } = readings.host
  // A port of the host receives what the container sends.
  const traffic = veth ? `${formatBytes(veth.txBytes)} received, ${formatBytes(veth.rxBytes)} sent` : ''
  return [
    { part: 'state', says: `${state}: ${why}` },
    { part: 'network', says: network || 'unknown' },
    ...leaseLines(attachment, now),
    ...interfaceLines(attachment),
    ...ruleLines(attachment),
    ...ports.map(port => ({ part: 'host port', says: portText(port) })),
    ...rateLines(attachment),
    ...(traffic ? [{ part: 'traffic', says: traffic }] : []),
    ...(cached ? [{ part: 'result', says: `cached ${formatAge(now - cached.madeAt)} ago` }] : []),
  ]
}

/** "container 4f2a, interface eth0, on network "pods"" */
export const whoText = (attachment: NodeAttachment): string =>
  `${describeOwner(attachment)}${attachment.network ? `, on network "${attachment.network}"` : ''}`
