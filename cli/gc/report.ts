import type { Answer } from '../../node/command/command'
import type { Style } from '../../node/command/style'
import { formatTable } from '../frame/table'
import type { Judged } from './judge'

/** The findings of a GC, and the objects that it has not removed. */
type GcReport = {
  readonly network: string
  readonly isDry: boolean
  readonly judged: readonly Judged[]
  /** Stale attachments that are still there; nothing of it counts when it is dry. */
  readonly left: readonly Judged[]
  /** Is none valid, so that --yes alone is refused? */
  readonly needsAll?: boolean
  readonly notes: readonly string[]
}

type Action = 'keep' | 'remove' | 'removed' | 'left'

const keyOf = ({ containerID, ifName = '' }: Judged): string => `${containerID} ${ifName}`

/** The decision about each attachment's objects. */
const actionsOn = ({ isDry, judged, left }: GcReport): Action[] => {
  const keys = new Set(left.map(keyOf))
  return judged.map(entry => {
    if (entry.valid) return 'keep'
    if (isDry) return 'remove'
    return keys.has(keyOf(entry)) ? 'left' : 'removed'
  })
}

const actionStyle = (action: Action, style: Style): string => {
  if (action === 'left') return style.red(action)
  return action === 'keep' ? style.green(action) : style.yellow(action)
}

/** IDs have up to 64 digits; on a terminal the first ones do. */
const shortID = (id: string, style: Style): string =>
  Number.isFinite(style.width) && id.length > 28 ? `${id.slice(0, 25)}...` : id

const summaryOf = (report: GcReport): string => {
  const stale = report.judged.filter(({ valid }) => !valid).length
  const known = `${report.judged.length} known, ${stale} stale`
  if (stale === 0) return `network "${report.network}": ${known}; there is nothing to remove\n`
  if (report.isDry) {
    const command = `kubenet gc ${report.network} --yes${report.needsAll ? ' --all' : ''}`
    return `network "${report.network}": ${known}; nothing was removed; "${command}" removes them\n`
  }
  return `network "${report.network}": ${known}; ${report.left.length} left\n`
}

const formatRows = (report: GcReport, style: Style): string => {
  if (report.judged.length === 0) return ''
  const actions = actionsOn(report)
  return formatTable(
    [
      { title: 'ACTION' },
      { title: 'CONTAINER' },
      { title: 'POD' },
      { title: 'INTERFACE' },
      { title: 'WHY' },
      { title: 'OBJECTS' },
    ],
    report.judged.map((entry, at) => [
      actionStyle(actions[at] ?? 'keep', style),
      shortID(entry.containerID, style),
      entry.pod ?? '-',
      entry.ifName ?? '-',
      entry.why,
      entry.objects.join(', '),
    ]),
    style,
  )
}

/** The report as an answer: the attachments with their objects, then the sum. */
export const formatGcReport = (report: GcReport): Answer => {
  const actions = actionsOn(report)
  return {
    json: {
      network: report.network,
      dryRun: report.isDry,
      attachments: report.judged.map((entry, at) => ({
        action: actions[at],
        containerID: entry.containerID,
        ...(entry.ifName !== undefined && { ifName: entry.ifName }),
        ...(entry.pod !== undefined && { pod: entry.pod }),
        why: entry.why,
        objects: entry.objects,
      })),
      notes: report.notes,
    },
    text: style => formatRows(report, style) + summaryOf(report),
    notes: report.notes,
  }
}
