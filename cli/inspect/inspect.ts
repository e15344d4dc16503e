import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Answer, command, optional } from '../../node/command/command'
import { CliError, ExitCode, usageError } from '../../node/command/failure'
import type { CliIo } from '../../node/command/io'
import { flag, listOfTexts, text } from '../../node/command/option'
import { placeOptions, placesOf } from '../../node/command/places'
import type { Survey } from '../../node/survey/survey'
import { readPlainFile } from '../../src/host/plain-file'
import { logFiles, readLog } from '../frame/call-log'
import { inspectionJson, readSurvey, unreadNotes } from '../frame/survey'
import { formatMermaid } from './mermaid'
import { formatMetrics, writeMetrics } from './metrics'
import { sceneOf } from './scene'
import { formatSvg } from './svg'
import { formatInspection } from './table'

/** The survey with one network in it. */
const only = (whole: Survey, name: string): Survey => {
  const { readings, attachments, pools, findings } = whole
  const networks = readings.networks.filter(network => network.name === name)
  if (networks.length === 0) {
    const names = readings.networks.map(network => JSON.stringify(network.name)).join(', ')
    throw new CliError(ExitCode.notFound, `no network "${name}"`, names && `the networks there are ${names}`)
  }
  return {
    ...whole,
    readings: { ...readings, networks },
    attachments: attachments.filter(({ network }) => network === name),
    pools: pools.filter(({ network }) => network === name),
    findings: findings.filter(({ network }) => network === undefined || network === name),
  }
}

type Given = {
  readonly mermaid: boolean
  readonly svg: boolean
  readonly file: string | undefined
}

/** The answer in the form that was asked for. */
const answerIn = ({ mermaid, svg, file }: Given, seen: Survey, io: CliIo): Answer => {
  const notes = unreadNotes(seen)
  const json = inspectionJson(seen)
  if (!mermaid && !svg) return { json, text: style => formatInspection(seen, style), notes }
  const scene = sceneOf(seen)
  const picture = svg ? formatSvg(scene) : formatMermaid(scene)
  if (file === undefined) return { json, text: () => picture, notes }
  const path = resolve(io.cwd, file)
  writeFileSync(path, picture)
  return { json, text: () => `${path} is written\n`, notes }
}

export const inspect = command({
  name: 'inspect',
  group: 'Look at a node',
  summary: "show the containers on the node's networks, and leftovers",
  about: [
    'Joins leases, records, cached results, namespaces, interfaces, rules, host ports and rates by ' +
      'container. Changes nothing. RX and TX are bytes that the container received and sent. Leftovers of ' +
      'ended containers are red.',
    'Without root it shows what it may read, and names the rest.',
  ],
  args: { file: optional('file for --svg or --mermaid instead of standard output', 'file') },
  options: {
    mermaid: flag('print a Mermaid flowchart'),
    svg: flag('print an SVG picture'),
    network: text('name', 'only this network', { completes: 'network' }),
    metricsFile: text('file', "also write metrics for node_exporter's textfile collector", {
      completes: 'file',
    }),
    logFile: listOfTexts('file', 'logs for the metrics (default: CNI_LOG_FILE, else those of the networks)', {
      completes: 'file',
    }),
    ...placeOptions,
  },
  examples: [
    { line: 'kubenet inspect', does: 'list containers and their addresses' },
    { line: 'kubenet inspect --svg node.svg', does: 'draw the node' },
    {
      line: 'kubenet inspect --json | jq ".containers[] | select(.state == \\"gone\\")"',
      does: 'list leftovers',
    },
    {
      line: 'kubenet inspect --metrics-file /var/lib/node_exporter/kubenet.prom >/dev/null',
      does: 'write metrics, from a timer',
    },
  ],
  run: async ({ args, options, io }) => {
    const { mermaid, svg, network, metricsFile } = options
    if (mermaid && svg) throw usageError('--mermaid and --svg exclude each other')
    if (args.file !== undefined && !mermaid && !svg) throw usageError('a file is for --svg or --mermaid')
    const places = placesOf(options, io)
    const whole = await readSurvey(places, io)
    if (metricsFile !== undefined) {
      const calls = logFiles(options.logFile, places, io).flatMap(file => readLog(file))
      const path = resolve(io.cwd, metricsFile)
      writeMetrics(path, formatMetrics(whole, calls, readPlainFile(path, { followLinks: true })))
    }
    return answerIn(
      { mermaid, svg, file: args.file },
      network === undefined ? whole : only(whole, network),
      io,
    )
  },
})
