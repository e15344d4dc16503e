/** Containers and the host's own interfaces and programs: the way out, and ports. */
import { isSettled } from '../../node/survey/finding'
import { isUp } from '../../node/survey/links'
import { listeningPorts } from '../../node/survey/listening-ports'
import type { Survey } from '../../node/survey/survey'
import { isPrivileged } from '../frame/networks'
import { count } from '../frame/units'
import { type Check, fault, notSeen, ok, orOk } from './diagnosis'

/** The smallest MTU of the interfaces that default routes leave by; undefined without any. */
const uplinkOf = ({ readings }: Survey): { name: string; mtu: number } | undefined => {
  const indexes = new Set(readings.routes.filter(({ dst }) => dst.prefix === 0).map(({ index }) => index))
  const [least] = readings.links
    .filter(link => indexes.has(link.index) && isUp(link))
    .sort((a, b) => a.mtu - b.mtu)
  return least
}

const uplinkMtu: Check = ({ survey }) => {
  const uplink = uplinkOf(survey)
  if (!uplink) return []
  const bridges = new Set(survey.readings.networks.map(({ bridge }) => bridge))
  const wide = survey.readings.links.filter(({ name, mtu }) => bridges.has(name) && mtu > uplink.mtu)
  return orOk(
    wide.map(({ name, mtu }) =>
      fault('KN0028', {
        says: `"${name}" has MTU ${mtu}, and "${uplink.name}", the uplink of its containers, ${uplink.mtu}: their large packets need ICMP replies`,
        remedy: `set "mtu": ${uplink.mtu} in the network's configuration, or remove it; this applies to new containers`,
      }),
    ),
    'mtu',
    `no bridge has a larger one than "${uplink.name}" with ${uplink.mtu}`,
  )
}

const listeners: Check = ({ survey }) => {
  const listening = listeningPorts()
  const ports = survey.attachments
    .filter(({ state }) => state === 'running')
    .flatMap(attachment => attachment.ports)
  const keys = new Set(ports.map(({ protocol, hostPort }) => `${hostPort}/${protocol}`))
  const taken = [...keys].filter(key => {
    const [port, protocol = ''] = key.split('/')
    return listening[protocol]?.has(Number(port))
  })
  if (taken.length === 0 && !isPrivileged()) return [notSeen('host ports', 'only root sees all rules')]
  return orOk(
    taken.map(key =>
      fault('KN0029', {
        says: `a program of the host listens on ${key} too: clients reach the container instead`,
        remedy: 'give one of them another port',
      }),
    ),
    'host ports',
    keys.size > 0 ? 'no program of the host listens on a port that leads to a container' : 'none is open',
  )
}

/** Objects that the survey could not read: the checks that go by it say less than they might. */
const unread: Check = ({ survey: { readings } }) =>
  readings.unread.map(({ what, why, remedy = 'run it as root' }) => ({
    status: 'unknown' as const,
    code: undefined,
    check: 'survey',
    says: `${what} could not be read: ${why}`,
    remedy,
    repair: undefined,
  }))

/** The number of skipped containers, so that no line with "ok" seems to include them. */
const unsettledText = ({ attachments, readings }: Survey): string => {
  const unsettled = attachments.filter(
    attachment => attachment.state === 'running' && !isSettled(attachment, readings.host.now),
  )
  return unsettled.length > 0 ? `; skipped ${count(unsettled.length, 'container')} younger than 2 s` : ''
}

/** How much was looked at. */
const scope: Check = ({ survey }) => [
  ok(
    'survey',
    `${count(survey.attachments.length, 'container interface')} on ${count(survey.readings.networks.length, 'network')}, read in ${survey.ms} ms${unsettledText(survey)}`,
  ),
]

export const hostChecks: readonly Check[] = [uplinkMtu, listeners]
export const surveyChecks: readonly Check[] = [scope, unread]
