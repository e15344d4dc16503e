/** A survey and the log of calls as metrics, in the text form of Prometheus, for node_exporter's textfile collector. */
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Survey } from '../../node/survey/survey'
import type { LogEntry } from '../frame/call-log'

type Labels = Readonly<Record<string, string>>

type Sample = { readonly labels: Labels; readonly value: number }

/** One metric with all its samples. Everything is a gauge: a log that is bounded forgets what it counted. */
type Metric = { readonly name: string; readonly help: string; readonly samples: readonly Sample[] }

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')

const formatSample = (name: string, { labels, value }: Sample): string => {
  const words = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
  return `${name}${words.length > 0 ? `{${words.join(',')}}` : ''} ${value}\n`
}

const formatMetric = ({ name, help, samples }: Metric): string =>
  samples.length === 0
    ? ''
    : `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${samples.map(sample => formatSample(name, sample)).join('')}`

/** How often each combination of labels is there. */
const counted = (entries: readonly Labels[]): Sample[] => {
  const found = new Map<string, { labels: Labels; value: number }>()
  for (const labels of entries) {
    const key = JSON.stringify(labels)
    const sample = found.get(key) ?? { labels, value: 0 }
    found.set(key, { labels, value: sample.value + 1 })
  }
  return [...found.values()]
}

const addressSamples = ({ pools }: Survey): Sample[] =>
  pools.flatMap(({ network, ranges, used, free, leaked }) =>
    Object.entries({ used, free, leaked }).map(([state, value]) => ({
      labels: { network, ranges, state },
      value,
    })),
  )

const quantiles = [0.5, 0.99] as const

/** The least value that this part of them does not exceed: the nearest rank. */
const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0

const msPerSecond = 1000

/** Milliseconds as seconds, to the microsecond. */
const seconds = (ms: number): number => Math.round(ms * msPerSecond) / (msPerSecond * msPerSecond)

/** How long the calls of one plugin with one command took, in milliseconds. */
type CallTimes = { readonly labels: Labels; readonly times: number[] }

const durationSamples = (calls: readonly LogEntry[]): Sample[] => {
  const byCall = new Map<string, CallTimes>()
  for (const { plugin, command, ms } of calls) {
    const labels = { plugin, command }
    const key = `${plugin} ${command}`
    const found: CallTimes = byCall.get(key) ?? { labels, times: [] }
    found.times.push(ms)
    byCall.set(key, found)
  }
  return [...byCall.values()].flatMap(({ labels, times }) => {
    const sorted = times.toSorted((a, b) => a - b)
    return quantiles.map(part => ({
      labels: { ...labels, quantile: String(part) },
      value: seconds(quantile(sorted, part)),
    }))
  })
}

const isConflict = ({ error = '' }: LogEntry): boolean => /^host port .* is taken by container /.test(error)

const metricsOf = (survey: Survey, calls: readonly LogEntry[]): Metric[] => {
  const { attachments, findings, readings, ms } = survey
  const one = (value: number): Sample[] => [{ labels: {}, value }]
  return [
    {
      name: 'kubenet_addresses',
      help: 'Addresses of a pool: those used, those of them that are leaked, those free.',
      samples: addressSamples(survey),
    },
    {
      name: 'kubenet_interfaces',
      help: 'Interfaces of containers, by state of the container.',
      samples: counted(attachments.map(({ network, state }) => ({ network, state }))),
    },
    {
      name: 'kubenet_findings',
      help: 'Faults, as "kubenet doctor" names them.',
      samples: counted(findings.map(({ severity, what }) => ({ severity, what }))),
    },
    {
      name: 'kubenet_call_seconds',
      help: 'Duration of the calls in the log.',
      samples: durationSamples(calls),
    },
    {
      name: 'kubenet_calls',
      help: 'Calls in the log.',
      samples: counted(
        calls.map(({ plugin, command, error }) => ({
          plugin,
          command,
          result: error === undefined ? 'ok' : 'error',
        })),
      ),
    },
    {
      name: 'kubenet_host_port_conflicts',
      help: 'Calls in the log that requested a host port of another container.',
      samples: one(calls.filter(isConflict).length),
    },
    {
      name: 'kubenet_survey_seconds',
      help: 'Duration of the survey.',
      samples: one(seconds(ms)),
    },
    {
      name: 'kubenet_survey_unread',
      help: 'Parts of the node that could not be read.',
      samples: one(readings.unread.length),
    },
    {
      name: 'kubenet_survey_time_seconds',
      help: 'Time of the survey, in seconds since the epoch.',
      samples: one(Math.round(readings.host.now / msPerSecond)),
    },
  ]
}

/** The metrics as text. */
export const formatMetrics = (survey: Survey, calls: readonly LogEntry[]): string =>
  metricsOf(survey, calls).map(formatMetric).join('')

/** Writes a file for other readers, whole or not at all. */
export const writeMetrics = (file: string, text: string): void => {
  // The collector reads what ends in ".prom" only.
  const temporary = `${dirname(file)}/.${basename(file)}.${process.pid}`
  const fd = openSync(temporary, 'wx', 0o644)
  try {
    writeFileSync(fd, text)
    closeSync(fd)
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
