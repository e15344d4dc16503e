/** Taking a survey, and a survey as plain data: what --json prints, described in docs/inspect.md. */
import type { CliIo } from '../../node/command/io'
import type { Places } from '../../node/command/places'
import type { HostPort, NodeAttachment } from '../../node/survey/attachments'
import type { Finding } from '../../node/survey/finding'
import { namespacePath } from '../../node/survey/namespaces'
import type { Network } from '../../node/survey/networks'
import { type Survey, takeSurvey } from '../../node/survey/survey'
import { withProgress } from './progress'
import { formatTime } from './units'

/** Takes a survey, saying so if that takes long. */
export const readSurvey = (places: Places, io: CliIo): Promise<Survey> =>
  withProgress(io, 'reading the node', tell => takeSurvey(places, what => tell(`reading the node: ${what}`)))

/** Objects that could not be read, a line each. */
export const unreadNotes = ({ readings }: Survey): string[] =>
  readings.unread.map(({ what, why }) => `${what} could not be read: ${why}`)

const portJson = ({ protocol, hostPort, hostIP, target, by }: HostPort) => ({
  protocol,
  hostPort,
  hostIP: hostIP ?? null,
  containerPort: target?.containerPort ?? null,
  address: target?.address ?? null,
  by: by ?? null,
})

const netnsOf = ({ container, cached, portOwner, leases }: NodeAttachment): string | null => {
  const recorded = leases.find(({ record }) => record?.netns)?.record?.netns ?? portOwner?.netns
  return container ? namespacePath(container.netns) : (recorded?.path ?? (cached?.netns || null))
}

/** An attachment as --json prints it. */
export const containerJson = (attachment: NodeAttachment) => {
  const { veth, container, since, ifbs, leases } = attachment
  return {
    network: attachment.network || null,
    containerID: attachment.containerID,
    ifName: attachment.ifName || null,
    pod: attachment.pod ?? null,
    state: attachment.state,
    why: attachment.why,
    netns: netnsOf(attachment),
    since: since === undefined ? null : formatTime(since),
    addresses: attachment.addresses,
    leases: leases.map(({ dataDir, network, address, madeAt, record }) => ({
      address,
      file: `${dataDir}/${network}/${address}`,
      madeAt: formatTime(madeAt),
      recorded: record !== undefined,
    })),
    mac: container?.mac ?? null,
    mtu: container?.mtu ?? veth?.mtu ?? null,
    bridge: attachment.bridge ?? null,
    veth: veth ? { name: veth.name, index: veth.index, mtu: veth.mtu, hairpin: veth.hairpin } : null,
    ports: attachment.ports.map(portJson),
    limits: {
      ingressBits: attachment.ingressBits ?? null,
      egressBits: attachment.egressBits ?? null,
      ifb: ifbs[0]?.name ?? null,
    },
    // A port of the host receives what the container sends.
    rxBytes: veth?.txBytes ?? null,
    txBytes: veth?.rxBytes ?? null,
    cached: attachment.cached !== undefined,
  }
}

/** A finding as --json prints it. */
export const findingJson = ({ repair, age, owner, ...finding }: Finding) => ({
  ...finding,
  network: finding.network ?? null,
  owner: owner ? { ...owner, ifName: owner.ifName || null, pod: owner.pod ?? null } : null,
  ageSeconds: age === undefined ? null : Math.round(age / 1000),
  fixable: repair !== undefined,
})

const networkJson = (
  { name, file, isDefault, types, bridge, mtu, masquerade }: Network,
  { pools }: Survey,
) => ({
  name,
  file: file ?? null,
  default: isDefault,
  plugins: types,
  bridge: bridge ?? null,
  mtu: mtu ?? null,
  masqueradeBy: masquerade?.by ?? null,
  pools: pools.filter(({ network }) => network === name).map(({ network: _, ...pool }) => pool),
})

/** The survey as one object. Times are in ISO 8601, rates in bits a second; null is what is not known or not there. */
export const inspectionJson = (survey: Survey): object => {
  const { readings, attachments, findings, ms } = survey
  const { host, networks, unread } = readings
  return {
    host: { name: host.name, bootID: host.bootID, bootedAt: formatTime(host.bootedAt) },
    time: formatTime(host.now),
    surveyMs: ms,
    networks: networks.map(network => networkJson(network, survey)),
    containers: attachments.map(containerJson),
    findings: findings.map(findingJson),
    unread: unread.map(({ what, why }) => ({ what, why })),
  }
}
