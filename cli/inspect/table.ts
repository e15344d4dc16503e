/** A survey as a table: a line for each attachment, then the sums. */

import { isStyled, type Style } from '../../node/command/style'
import type { NodeAttachment } from '../../node/survey/attachments'
import { type Finding, isAbout } from '../../node/survey/finding'
import type { Pool, Survey } from '../../node/survey/survey'
import { type Column, formatTable } from '../frame/table'
import { count, formatAge, formatBytes } from '../frame/units'
import { limitText, nameOf, portTexts } from './words'

type Row = {
  readonly attachment: NodeAttachment
  /** Its faults, by the findings' names. */
  readonly faults: readonly string[]
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)]

/** The failures by the container they are about: of one among a thousand, not all must be looked through. */
const failuresByContainer = (findings: readonly Finding[]): Map<string, Finding[]> => {
  const found = new Map<string, Finding[]>()
  for (const finding of findings) {
    const { severity, owner } = finding
    if (severity !== 'fail' || !owner) continue
    const others = found.get(owner.containerID)
    if (others) others.push(finding)
    else found.set(owner.containerID, [finding])
  }
  return found
}

const faultsOf = (attachment: NodeAttachment, failures: ReadonlyMap<string, readonly Finding[]>): string[] =>
  unique(
    (failures.get(attachment.containerID) ?? [])
      .filter(finding => isAbout(finding, attachment))
      .map(({ what }) => what),
  )

const stateText = ({ attachment, faults }: Row, style: Style): string => {
  if (faults.length > 0) return style.red(faults.join(', '))
  if (attachment.state === 'running') return style.green('running')
  return attachment.state === 'gone' ? style.red('gone') : style.yellow('unknown')
}

const mtuText = ({ veth, container }: NodeAttachment): string => {
  const ends = unique([veth?.mtu, container?.mtu].filter(mtu => mtu !== undefined).map(String))
  return ends.join('/') || '-'
}

/** A person reads the pod's or the container's name, a script the whole ID. */
const containerText = (attachment: NodeAttachment, style: Style): string =>
  Number.isFinite(style.width) ? nameOf(attachment) : (attachment.pod ?? attachment.containerID)

type Cell = Column & { readonly of: (row: Row, now: number, style: Style) => string }

// A port of the host receives what the container sends.
const columns: readonly Cell[] = [
  { title: 'CONTAINER', of: ({ attachment }, _, style) => containerText(attachment, style) },
  { title: 'IF', of: ({ attachment }) => attachment.ifName || '-' },
  { title: 'NETWORK', of: ({ attachment }) => attachment.network || '-' },
  { title: 'ADDRESS', of: ({ attachment }) => attachment.addresses.join(',') || '-' },
  { title: 'VETH', of: ({ attachment }) => attachment.veth?.name ?? '-' },
  { title: 'MTU', align: 'right', of: ({ attachment }) => mtuText(attachment) },
  { title: 'PORTS', of: ({ attachment }) => portTexts(attachment).join(',') || '-' },
  { title: 'LIMIT', of: ({ attachment }) => limitText(attachment) || '-' },
  { title: 'RX', align: 'right', of: ({ attachment: { veth } }) => (veth ? formatBytes(veth.txBytes) : '-') },
  { title: 'TX', align: 'right', of: ({ attachment: { veth } }) => (veth ? formatBytes(veth.rxBytes) : '-') },
  {
    title: 'AGE',
    align: 'right',
    of: ({ attachment: { since } }, now) => (since === undefined ? '-' : formatAge(now - since)),
  },
  { title: 'STATE', of: (row, _, style) => stateText(row, style) },
]

/** Those columns that tell something. */
const shownColumns = ({ attachments }: Survey): readonly Cell[] => {
  const hidden = [
    ...(new Set(attachments.map(({ network }) => network)).size > 1 ? [] : ['NETWORK']),
    ...(attachments.some(entry => limitText(entry)) ? [] : ['LIMIT']),
    ...(attachments.some(({ ports }) => ports.length > 0) ? [] : ['PORTS']),
  ]
  return columns.filter(({ title }) => !hidden.includes(title))
}

/** More addresses than are worth a count: IPv6 networks have them. */
const countless = 1e7

const poolLine = ({ network, ranges, total, used, leaked, free }: Pool, style: Style): string => {
  const lost = leaked > 0 ? `, ${style.red(`${leaked} of them leaked`)}` : ''
  const rest =
    total < countless ? ` of ${total} addresses used${lost}, ${free} free` : ` addresses used${lost}`
  return `${network}: ${used}${rest} in ${ranges}\n`
}

const totals = ({ attachments, findings }: Survey): string => {
  const running = attachments.filter(({ state }) => state === 'running').length
  const veths = attachments.flatMap(({ veth }) => veth ?? [])
  const sum = (of: (veth: (typeof veths)[number]) => number) =>
    formatBytes(veths.reduce((bytes, veth) => bytes + of(veth), 0))
  const traffic = `${sum(veth => veth.txBytes)} received, ${sum(veth => veth.rxBytes)} sent`
  const found = findings.length > 0 ? `; ${count(findings.length, 'finding')}, "kubenet doctor" explains` : ''
  return `${count(attachments.length, 'interface')}, ${running} running; ${traffic}${found}\n`
}

/** Objects that no line of the table stands for. */
const strayLines = ({ findings }: Survey, style: Style): string =>
  findings
    .filter(({ owner }) => owner === undefined)
    .map(({ object, cause }) => `${style.red(object)}: ${cause}\n`)
    .join('')

/** The survey as people read it. Leftovers are red. */
export const formatInspection = (survey: Survey, style: Style): string => {
  const { attachments, findings, pools, readings } = survey
  const shown = shownColumns(survey)
  const failures = failuresByContainer(findings)
  const rows = attachments.map(attachment => {
    const row = { attachment, faults: faultsOf(attachment, failures) }
    const cells = shown.map(({ of }) => of(row, readings.host.now, style))
    return attachment.state === 'gone' ? cells.map(cell => (isStyled(cell) ? cell : style.red(cell))) : cells
  })
  return [
    rows.length > 0 ? formatTable(shown, rows, style) : 'there is no container on any network\n',
    strayLines(survey, style),
    '\n',
    ...pools.map(pool => poolLine(pool, style)),
    totals(survey),
  ].join('')
}
