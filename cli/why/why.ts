import { type Answer, command, required } from '../../node/command/command'
import { CliError, ExitCode } from '../../node/command/failure'
import { placeOptions, placesOf } from '../../node/command/places'
import type { Style } from '../../node/command/style'
import type { HostPort, NodeAttachment } from '../../node/survey/attachments'
import { concerns, describeOwner, type Finding } from '../../node/survey/finding'
import { isUp } from '../../node/survey/links'
import type { Survey } from '../../node/survey/survey'
import { containerJson, findingJson, readSurvey, unreadNotes } from '../frame/survey'
import { formatAge, formatBits, formatBytes } from '../frame/units'
import { type Found, lookUp } from './lookup'
import { readServices } from './services'

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

/** The parts of an attachment, a line each: the way from its lease to its last rule. */
const storyOf = (attachment: NodeAttachment, { readings }: Survey): StoryLine[] => {
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
const whoText = (attachment: NodeAttachment): string =>
  `${describeOwner(attachment)}${attachment.network ? `, on network "${attachment.network}"` : ''}`

const partWidth = 12

const findingsOn = (found: Found, { findings }: Survey): Finding[] =>
  findings.filter(finding => found.attachments.some(attachment => concerns(finding, attachment)))

const nothingFound = (asked: string, { kind, says }: Found): CliError => {
  if (kind === 'host port') {
    const text = `host port ${asked} leads nowhere: no container has it, and no program of the host listens on it`
    return new CliError(ExitCode.notFound, text, '"kubenet inspect" shows the ports that are open')
  }
  const text = says[0] ?? `no object of this node has the name, ID or address ${JSON.stringify(asked)}`
  const remedy = '"kubenet inspect" shows the containers, "kubenet networks" the networks'
  return new CliError(ExitCode.notFound, text, remedy)
}

const formatStories = (asked: string, found: Found, survey: Survey, style: Style): string => {
  const stories = found.attachments.map(attachment => {
    const head = style.bold(`${asked} is of ${whoText(attachment)}`)
    const lines = storyOf(attachment, survey).map(({ part, says }) => `  ${part.padEnd(partWidth)}${says}\n`)
    const faults = survey.findings
      .filter(finding => concerns(finding, attachment))
      .map(
        ({ code, object, cause, remedy }) =>
          `  ${style.red('wrong'.padEnd(partWidth))}${code} ${object}: ${cause}; ${remedy}\n`,
      )
    return `${head}\n${lines.join('')}${faults.join('')}`
  })
  return [...stories, ...found.says.map(line => `${line}\n`)].join('\n')
}

export const why = command({
  name: 'why',
  group: 'Look at a node',
  summary: 'show the owner of an address, host port or name, and all that belongs to it',
  about: [
    'Prints everything that belongs to an address, host port, pod, container, veth or ifb, with faults. ' +
      'Names the Service of a ClusterIP or NodePort of Kubernetes, and where kube-proxy leads it.',
    'Digits alone are a host port. Exits with 1 if it found a fault, and with 3 if it found nothing.',
  ],
  args: {
    what: required(
      '10.244.1.2, 8080, 8080/udp, 192.0.2.1:8080, default/web, a container ID or its first digits, veth1a2b',
    ),
  },
  options: placeOptions,
  examples: [
    { line: 'kubenet why 10.244.1.7', does: 'show the owner of an address' },
    { line: 'kubenet why 8080', does: 'show where host port 8080 leads' },
    { line: 'kubenet why default/web', does: 'show all that a pod has' },
  ],
  run: async ({ args: { what }, options, io }): Promise<Answer> => {
    const survey = await readSurvey(placesOf(options, io), io)
    const found = lookUp(what, survey, await readServices(survey))
    if (!found.isKnown) throw nothingFound(what, found)
    const findings = findingsOn(found, survey)
    return {
      json: {
        asked: what,
        kind: found.kind,
        says: found.says,
        containers: found.attachments.map(attachment => ({
          ...containerJson(attachment),
          story: storyOf(attachment, survey),
        })),
        findings: findings.map(findingJson),
      },
      text: style => formatStories(what, found, survey, style),
      notes: unreadNotes(survey),
      exitCode: findings.length > 0 ? ExitCode.failed : ExitCode.done,
    }
  },
})
