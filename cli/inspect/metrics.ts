/** A survey and the log of calls as metrics, in the text form of Prometheus, for node_exporter's textfile collector. */
import { closeSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Survey } from '../../node/survey/survey'
import type { LogEntry } from '../frame/call-log'
import { formatCallMetrics, type Labels, seriesOf } from './call-metrics'

type Sample = { readonly labels: Labels; readonly value: number }

/** A gauge with all its samples. */
type Metric = { readonly name: string; readonly help: string; readonly samples: readonly Sample[] }

const formatMetric = ({ name, help, samples }: Metric): string =>
  samples.length === 0
    ? ''
    : `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${samples.map(({ labels, value }) => `${seriesOf(name, labels)} ${value}\n`).join('')}`

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

const msPerSecond = 1000

/** Milliseconds as seconds, to the microsecond. */
const seconds = (ms: number): number => Math.round(ms * msPerSecond) / (msPerSecond * msPerSecond)

const metricsOf = (survey: Survey): Metric[] => {
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

/** The metrics as text. `before` is the file of last time, whose counters go on; undefined if there is none. */
export const formatMetrics = (
  survey: Survey,
  calls: readonly LogEntry[],
  before: string | undefined,
): string =>
  metricsOf(survey).map(formatMetric).join('') +
  formatCallMetrics(calls, before ?? '', survey.readings.host.now)

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
