/** The calls for a container as a story. */

import type { Style } from '../../node/command/style'
import { containerWithPod } from '../../src/attachment/pod'
import type { LogEntry } from '../frame/call-log'
import { count, formatAge } from '../frame/units'

const formatMs = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`

/** "2025-11-24 00:28:11.123": a log's times are in UTC. */
const clock = (time: string): string => time.replace('T', ' ').replace('Z', '')

/** Steps that took longer than this part of the call are worth a look. */
const largePart = 0.3

const stepLine = ({ steps = [], ms }: LogEntry, style: Style): string => {
  const words = steps
    .filter(step => step.ms >= 0.05)
    .map(step => {
      const text = `${step.name} ${step.ms.toFixed(1)}`
      return step.ms > ms * largePart ? style.yellow(text) : text
    })
  return words.length > 0 ? `    ${words.join(' · ')}\n` : ''
}

const callLines = (entry: LogEntry, style: Style): string => {
  const { time, command, plugin, network, ifName, ms, error, code, details } = entry
  const where = [network, ifName].filter(Boolean).join(' ')
  const outcome = error === undefined ? style.green('ok') : style.red(`failed with code ${code}: ${error}`)
  const head = `${clock(time)}  ${command.padEnd(6)}${plugin.padEnd(11)}${where.padEnd(16)}`
  return [
    `${head}${formatMs(ms).padStart(8)}  ${outcome}\n`,
    details ? `    ${details}\n` : '',
    stepLine(entry, style),
  ].join('')
}

/** Two calls of one runtime's action follow each other within this time. */
const pauseMs = 1000

const pauseLine = (before: LogEntry | undefined, entry: LogEntry, style: Style): string => {
  const pause = before ? Date.parse(entry.time) - Date.parse(before.time) : 0
  return pause > pauseMs ? `${style.dim(`  … ${formatAge(pause)} later`)}\n` : ''
}

const summary = (calls: readonly LogEntry[]): string => {
  const failed = calls.filter(({ error }) => error !== undefined).length
  const total = calls.reduce((sum, { ms }) => sum + ms, 0)
  const last = calls.at(-1)
  const end = last
    ? `; the last was ${last.command}, ${last.error === undefined ? 'which succeeded' : 'which failed'}`
    : ''
  return `${count(calls.length, 'call')} in ${formatMs(total)}, ${failed === 0 ? 'none' : failed} failed${end}\n`
}

/** The story: the container, its calls with their steps, and the sum of it. */
export const formatTrace = (calls: readonly LogEntry[], style: Style): string => {
  const containers = [...new Set(calls.map(containerWithPod))]
  return [
    `${style.bold(`container ${containers.join(', ')}`)}\n`,
    ...calls.map((entry, i) => pauseLine(calls[i - 1], entry, style) + callLines(entry, style)),
    summary(calls),
  ].join('')
}
