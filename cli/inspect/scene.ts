/** The contents of a picture of a node, in words: the same for every way of drawing it. */

import type { NodeAttachment } from '../../node/survey/attachments'
import { isAbout } from '../../node/survey/finding'
import { type HostLink, isUp } from '../../node/survey/links'
import type { Survey } from '../../node/survey/survey'
import { formatCidr } from '../../src/ip/cidr'
import { limitText, nameOf, portWords } from './words'

/** One interface of a container. */
export type ScenePod = {
  /** The container, and its interface unless that is called eth0 as usual. */
  readonly name: string
  readonly addresses: readonly string[]
  readonly veth: string
  /** "8080", and where it leads to, "80/tcp". */
  readonly ports: readonly { readonly from: string; readonly to: string }[]
  /** "10M/20M", or "" without limits. */
  readonly limit: string
  /** Its faults, by the findings' names; nothing if all is well. */
  readonly faults: readonly string[]
  /** "state unknown" where nothing tells whether its container lives; "" otherwise. */
  readonly doubt: string
}

/** A bridge, or what containers have instead of one. */
export type SceneBridge = {
  readonly name: string
  readonly addresses: readonly string[]
  readonly mtu: number | undefined
  /** The networks that use it. */
  readonly networks: readonly string[]
  readonly pods: readonly ScenePod[]
}

export type SceneUplink = {
  readonly name: string
  readonly addresses: readonly string[]
  readonly mtu: number
}

/** Leftovers: all that is left of one container, or one thing that nothing tells the owner of. */
export type SceneLeftover = { readonly owner: string; readonly objects: readonly string[] }

export type Scene = {
  readonly host: string
  readonly uplinks: readonly SceneUplink[]
  readonly bridges: readonly SceneBridge[]
  readonly leftovers: readonly SceneLeftover[]
}

const addressesOn = ({ index }: HostLink, { readings }: Survey): string[] =>
  readings.addrs
    // RT_SCOPE_LINK, <linux/rtnetlink.h>: link-local addresses say nothing.
    .filter(addr => addr.index === index && addr.scope < 253)
    .map(({ cidr }) => formatCidr(cidr))

/** The interfaces by which the host reaches others: those of its default routes, else those with addresses. */
const uplinksOf = (survey: Survey, bridges: readonly string[]): SceneUplink[] => {
  const { links, routes } = survey.readings
  const others = links.filter(link => isUp(link) && link.name !== 'lo' && !bridges.includes(link.name))
  const byRoute = others.filter(link =>
    routes.some(({ dst, index }) => dst.prefix === 0 && index === link.index),
  )
  const chosen = byRoute.length > 0 ? byRoute : others.filter(link => addressesOn(link, survey).length > 0)
  return chosen.map(link => ({ name: link.name, addresses: addressesOn(link, survey), mtu: link.mtu }))
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)]

const podOf = (attachment: NodeAttachment, { findings }: Survey): ScenePod => {
  const { ifName, addresses, veth, ports, state } = attachment
  const words = new Map(ports.map(portWords).map(port => [`${port.from} ${port.to}`, port]))
  return {
    name: ifName === 'eth0' || ifName === '' ? nameOf(attachment) : `${nameOf(attachment)} ${ifName}`,
    addresses,
    veth: veth?.name ?? '',
    ports: [...words.values()],
    limit: limitText(attachment),
    faults: unique(
      findings
        .filter(finding => finding.severity === 'fail' && isAbout(finding, attachment))
        .map(({ what }) => what),
    ),
    doubt: state === 'unknown' ? 'state unknown' : '',
  }
}

/** The bridge an attachment is on; where it is on none, the one its network has. */
const bridgeNameOf = (attachment: NodeAttachment, { readings }: Survey): string =>
  attachment.bridge ??
  readings.networks.find(({ name }) => name === attachment.network)?.bridge ??
  'no bridge'

const bridgeOf = (name: string, pods: readonly NodeAttachment[], survey: Survey): SceneBridge => {
  const { links, networks } = survey.readings
  const link = links.find(known => known.name === name)
  const using = networks.filter(({ bridge }) => bridge === name).map(network => network.name)
  return {
    name,
    addresses: link ? addressesOn(link, survey) : [],
    mtu: link?.mtu,
    networks: unique([...using, ...pods.map(({ network }) => network)]).filter(Boolean),
    pods: pods.map(attachment => podOf(attachment, survey)),
  }
}

const leftoversOf = ({ findings, attachments }: Survey): SceneLeftover[] => {
  const living = attachments.filter(({ state }) => state !== 'gone')
  const left = findings.filter(
    finding => finding.severity === 'warn' && !living.some(attachment => isAbout(finding, attachment)),
  )
  const groups = new Map<string, { owner: string; objects: Set<string> }>()
  for (const { object, owner, network = '' } of left) {
    const key = owner ? `${network} ${owner.containerID} ${owner.ifName}` : object
    const group = groups.get(key) ?? { owner: owner ? nameOf(owner) : '', objects: new Set<string>() }
    groups.set(key, group)
    group.objects.add(object.replace(` of network "${network}"`, ''))
  }
  return [...groups.values()].map(({ owner, objects }) => ({ owner, objects: [...objects] }))
}

/** The scene of a node. */
export const sceneOf = (survey: Survey): Scene => {
  const { networks, host, links } = survey.readings
  const alive = survey.attachments.filter(({ state }) => state !== 'gone')
  const configured = networks
    .map(({ bridge }) => bridge)
    .filter(name => name !== undefined && links.some(link => link.name === name))
    .filter(name => name !== undefined)
  const names = unique([...configured, ...alive.map(attachment => bridgeNameOf(attachment, survey))])
  return {
    host: host.name,
    uplinks: uplinksOf(survey, names),
    bridges: names.map(name =>
      bridgeOf(
        name,
        alive.filter(attachment => bridgeNameOf(attachment, survey) === name),
        survey,
      ),
    ),
    leftovers: leftoversOf(survey),
  }
}
