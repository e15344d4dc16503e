/**
 * The log of calls as counters. The log is bounded and each file is written by a new process, so the last file keeps
 * the counts: only calls after its newest one are added.
 */
import type { LogEntry } from '../frame/call-log'

export type Labels = Readonly<Record<string, string>>

const escapeLabel = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')

/** A sample's name with its labels, as it stands before the value. */
export const seriesOf = (name: string, labels: Labels): string => {
  const words = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`)
  return words.length > 0 ? `${name}{${words.join(',')}}` : name
}

const families = [
  { name: 'kubenet_calls_total', type: 'counter', help: 'Calls of the plugins.' },
  { name: 'kubenet_call_duration_seconds', type: 'histogram', help: 'Duration of the calls.' },
  {
    name: 'kubenet_host_port_conflicts_total',
    type: 'counter',
    help: 'Calls that requested a host port of another container.',
  },
] as const

const newestCall = 'kubenet_newest_call_time_seconds'

/** Upper ends, in seconds: from one call on an idle node to a runtime's usual limit. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

const msPerSecond = 1000
const microsecondsPerSecond = 1e6

const sampleLine = /^(kubenet_[a-z_]+(?:\{.*\})?) (\d[\d.e+-]*)$/

/** The samples of a file that this module wrote; of another file none. */
const samplesIn = (text: string): Map<string, number> =>
  new Map(
    text.split('\n').flatMap(line => {
      const [, series = '', value = ''] = sampleLine.exec(line) ?? []
      return Number.isFinite(Number.parseFloat(value)) ? [[series, Number(value)] as const] : []
    }),
  )

const isConflict = ({ error = '' }: LogEntry): boolean => /^host port .* is taken by container /.test(error)

class Totals {
  readonly #totals = new Map<string, number>()

  /** Begins with those samples that are totals of `families`. */
  constructor(before: ReadonlyMap<string, number>) {
    for (const [series, value] of before)
      if (families.some(({ name }) => series.startsWith(name))) this.#totals.set(series, value)
  }

  #add(name: string, labels: Labels, value: number): void {
    const series = seriesOf(name, labels)
    this.#totals.set(series, (this.#totals.get(series) ?? 0) + value)
  }

  count(entry: LogEntry): void {
    const { plugin, command, error, ms } = entry
    const seconds = ms / msPerSecond
    const [calls, duration, conflicts] = families
    this.#add(calls.name, { plugin, command, result: error === undefined ? 'ok' : 'error' }, 1)
    for (const end of buckets)
      this.#add(`${duration.name}_bucket`, { plugin, command, le: String(end) }, seconds <= end ? 1 : 0)
    this.#add(`${duration.name}_bucket`, { plugin, command, le: '+Inf' }, 1)
    this.#add(`${duration.name}_sum`, { plugin, command }, seconds)
    this.#add(`${duration.name}_count`, { plugin, command }, 1)
    this.#add(conflicts.name, {}, isConflict(entry) ? 1 : 0)
  }

  text(): string {
    return families
      .map(({ name, type, help }) => {
        const lines = [...this.#totals].flatMap(([series, value]) =>
          series.startsWith(name)
            ? `${series} ${Math.round(value * microsecondsPerSecond) / microsecondsPerSecond}\n`
            : [],
        )
        return lines.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
      })
      .join('')
  }
}

/** The counters of `calls` and of those that the file of last time, `before`, has counted. */
export const formatCallMetrics = (calls: readonly LogEntry[], before: string, nowMs: number): string => {
  const samples = samplesIn(before)
  const counted = Math.round((samples.get(newestCall) ?? 0) * msPerSecond)
  // A time to come is of a clock that has been set back: by it no call would be counted for long.
  const from = counted > nowMs ? 0 : counted
  const totals = new Totals(from === 0 ? new Map() : samples)
  let newest = from
  for (const entry of calls) {
    const time = Date.parse(entry.time)
    if (!(time > from)) continue
    totals.count(entry)
    newest = Math.max(newest, time)
  }
  if (newest === 0) return ''
  return `${totals.text()}# HELP ${newestCall} Time of the newest call that is counted, in seconds since the epoch.
# TYPE ${newestCall} gauge
${newestCall} ${newest / msPerSecond}
`
}
