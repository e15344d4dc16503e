import { command, required } from '../node/command/command'
import { CliError, ExitCode } from '../node/command/failure'
import { listOfTexts } from '../node/command/option'
import { type Places, placeOptions, placesOf } from '../node/command/places'
import type { Style } from '../node/command/style'
import { containerWithPod } from '../src/attachment/attachment'
import { podInPairs } from '../src/runtime/attachment'
import { listCacheEntries } from '../src/runtime/result-cache'
import { type LogEntry, logFiles, readLog } from './frame/call-log'
import { count, formatAge } from './frame/units'

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
const formatTrace = (calls: readonly LogEntry[], style: Style): string => {
  const containers = [...new Set(calls.map(containerWithPod))]
  return [
    `${style.bold(`container ${containers.join(', ')}`)}\n`,
    ...calls.map((entry, i) => pauseLine(calls[i - 1], entry, style) + callLines(entry, style)),
    summary(calls),
  ].join('')
}

const logFileOption = {
  logFile: listOfTexts(
    'file',
    'log of the plugins’ calls (default: CNI_LOG_FILE, else "logFile" of the networks)',
    { completes: 'file' },
  ),
}

const noLog = (): CliError =>
  new CliError(
    ExitCode.notFound,
    'no network has a log',
    'set "logFile": "/var/log/kubenet.log" in its configuration, with "logLevel": "debug" for the ' +
      'steps of each call',
  )

/** The containers that a pod's name stands for, as the cached results know it. */
const containersOfPod = (pod: string, { cacheDir }: Places): string[] => {
  if (!pod.includes('/')) return []
  return listCacheEntries(cacheDir)
    .filter(({ args }) => podInPairs(args) === pod)
    .map(({ containerID }) => containerID)
}

const byTime = (a: LogEntry, b: LogEntry): number => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)

const callsOf = (container: string, files: readonly string[], places: Places): LogEntry[] => {
  const wanted = containersOfPod(container, places)
  const texts = wanted.length > 0 ? wanted : [container]
  // Pods are in the log itself, too: what a container has left is gone with its DEL.
  const isWanted = ({ containerID, pod }: LogEntry): boolean =>
    pod === container || texts.some(text => containerID.startsWith(text))
  const hint = wanted.length > 0 ? '' : container
  const entries = files.flatMap(file => readLog(file, hint).filter(isWanted))
  return entries.sort(byTime)
}

const otherContainers = (files: readonly string[]): string => {
  const known = [
    ...new Set(
      files.flatMap(file => readLog(file).filter(({ containerID }) => containerID)).map(containerWithPod),
    ),
  ]
  return known.length > 0
    ? `${count(known.length, 'container')} are in it, the last one is ${known.at(-1)}`
    : 'no call is in it yet'
}

export const trace = command({
  name: 'trace',
  group: 'Look at a node',
  summary: 'show every plugin call for a container, with steps and failures',
  about: [
    'Reads the log of the plugins (CNI_LOG_FILE, or "logFile" of a network) and the older log beside ' +
      'it. Times of steps need "logLevel": "debug".',
  ],
  args: { container: required('container ID, its first digits, or namespace/name of a pod') },
  options: { ...logFileOption, ...placeOptions },
  examples: [
    { line: 'kubenet trace 4f2a', does: 'show all calls for a container' },
    { line: 'kubenet trace default/web --json | jq .calls[-1]', does: 'show the last call for a pod' },
  ],
  run: ({ args, options, io }) => {
    const places = placesOf(options, io)
    const files = logFiles(options.logFile, places, io)
    if (files.length === 0) throw noLog()
    const calls = callsOf(args.container, files, places)
    if (calls.length === 0) {
      const text = `no call for container "${args.container}" in ${files.join(', ')}`
      throw new CliError(ExitCode.notFound, text, otherContainers(files))
    }
    return { json: { files, calls }, text: style => formatTrace(calls, style) }
  },
})
