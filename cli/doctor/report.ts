/** The doctor's lines as text and as --json prints them. */
import type { Answer } from '../../node/command/command'
import { ExitCode } from '../../node/command/failure'
import { type Style, visibleLength, wrap } from '../../node/command/style'
import { findingJson } from '../frame/survey'
import { count } from '../frame/units'
import type { Diagnosis, Status } from './diagnosis'

/** One repair that was tried; `failed` is what came of it, "" if it was done. */
export type Fixed = { readonly text: string; readonly failed: string }

/** All that the doctor must say. */
type Report = { readonly lines: readonly Diagnosis[]; readonly fixed: readonly Fixed[] }

const paint = (status: Status, style: Style): string => {
  const text = status.padEnd(7)
  if (status === 'ok') return style.green(text)
  return status === 'fail' ? style.red(text) : style.yellow(text)
}

/** More lines of one check than this are counted, not printed: a node may have lost a thousand leases. */
const mostOfOne = 10

const lineText = ({ status, code, check, says, remedy }: Diagnosis, style: Style): string => {
  const start = `${paint(status, style)} ${check.padEnd(15)} `
  const indent = ' '.repeat(visibleLength(start))
  const room = Number.isFinite(style.width) ? Math.max(30, style.width - indent.length) : style.width
  const fold = (text: string) => wrap(text, room).replaceAll('\n', `\n${indent}`)
  return `${start}${fold(code ? `${code} ${says}` : says)}\n${remedy ? `${indent}${style.dim(fold(`→ ${remedy}`))}\n` : ''}`
}

/** The lines, with those that are too many of one check and status left out. */
const shownLines = (lines: readonly Diagnosis[], style: Style): string => {
  const seen = new Map<string, number>()
  const texts = lines.map(line => {
    const key = `${line.check} ${line.status}`
    const number = (seen.get(key) ?? 0) + 1
    seen.set(key, number)
    if (number > mostOfOne + 1) return ''
    if (number <= mostOfOne) return lineText(line, style)
    const more = lines.filter(({ check, status }) => `${check} ${status}` === key).length - mostOfOne
    return `${paint(line.status, style)} ${line.check.padEnd(15)} and ${more} more; --json has them all\n`
  })
  return texts.join('')
}

const countOf = (lines: readonly Diagnosis[], status: Status): number =>
  lines.filter(line => line.status === status).length

const verdict = ({ lines }: Report, style: Style): string => {
  const [fails, warns, unknown] = [countOf(lines, 'fail'), countOf(lines, 'warn'), countOf(lines, 'unknown')]
  const fixable = new Set(lines.flatMap(({ repair }) => (repair ? [JSON.stringify(repair)] : []))).size
  const parts = [
    fails > 0 ? style.red(count(fails, 'failure')) : '',
    warns > 0 ? style.yellow(count(warns, 'warning')) : '',
    unknown > 0 ? `${unknown} not looked at` : '',
  ].filter(Boolean)
  if (parts.length === 0) return style.green('the node is healthy\n')
  const fix = fixable > 0 ? `; "kubenet doctor --fix" fixes ${fixable}` : ''
  return `${parts.join(', ')}${fix}\n`
}

const fixedText = ({ text, failed }: Fixed, style: Style): string =>
  failed
    ? `${style.red('failed'.padEnd(7))} ${text}: ${failed}\n`
    : `${style.green('fixed'.padEnd(7))} ${text}\n`

const formatReport = (report: Report, style: Style): string =>
  [
    ...report.fixed.map(entry => fixedText(entry, style)),
    report.fixed.length > 0 ? '\n' : '',
    shownLines(report.lines, style),
    '\n',
    verdict(report, style),
  ].join('')

const exitCodeOf = ({ lines, fixed }: Report): ExitCode => {
  if (countOf(lines, 'fail') > 0 || fixed.some(({ failed }) => failed)) return ExitCode.failed
  return countOf(lines, 'unknown') > 0 ? ExitCode.notPermitted : ExitCode.done
}

const statusOf = ({ lines }: Report): Status =>
  (['fail', 'warn', 'unknown'] as const).find(status => countOf(lines, status) > 0) ?? 'ok'

/** The report as an answer: 1 for a failure, 4 for what only root may look at. */
export const reportAnswer = (report: Report): Answer => ({
  json: {
    status: statusOf(report),
    lines: report.lines.map(({ status, code = null, check, says, remedy, repair, findings = [] }) => ({
      status,
      code,
      check,
      says,
      remedy,
      fixable: repair !== undefined,
      findings: findings.map(findingJson),
    })),
    fixed: report.fixed.map(({ text, failed }) => ({ text, failed: failed || null })),
  },
  text: style => formatReport(report, style),
  exitCode: exitCodeOf(report),
})
