/** The metrics for Prometheus: docs/cluster.md lists it. */

import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { commit, version } from '../src/build-info'

const prefix = 'kubenet_agent_'

/** The sources of the gauges. */
type MetricSources = {
  readonly connected: () => boolean
  readonly silentSeconds: () => number
  readonly nodes: () => number
  readonly ready: () => boolean
  readonly networkState: () => string
  readonly routeProblems: () => number
  readonly routes: () => ReadonlyMap<string, number>
}

/** The states a node's network can be in: one of them is 1, the others 0. */
export const networkStates = ['waiting', 'invalid', 'refused', 'failed', 'ready'] as const

const counters = (registry: Registry) => {
  const registers = [registry]
  const counter = (name: string, help: string) => new Counter({ name: `${prefix}${name}`, help, registers })
  /** From the start there is one for each value: a rate would not see the first of a counter that comes with it. */
  const counterBy = <L extends string>(name: string, help: string, label: L, values: readonly string[]) => {
    const labelNames: readonly L[] = [label]
    const made = new Counter({ name: `${prefix}${name}`, help, labelNames, registers })
    for (const value of values) made.labels(value).inc(0)
    return made
  }
  return {
    requests: counterBy('api_requests_total', 'Requests made to the API server', 'verb', ['list', 'watch']),
    events: counterBy('watch_events_total', 'Events received', 'type', [
      'ADDED',
      'MODIFIED',
      'DELETED',
      'BOOKMARK',
      'other',
    ]),
    watchEnds: counterBy('watch_ends_total', 'Lists and watches that ended, by reason', 'reason', [
      'ended',
      'gone',
      'refused',
      'idle',
      'unreadable',
      'broken',
    ]),
    badObjects: counterBy('objects_ignored_total', 'Objects skipped, by reason', 'kind', [
      'malformed',
      'stale',
    ]),
    conflistWrites: counter('conflist_writes_total', 'Writes of the network configuration'),
    routeChanges: counterBy('route_changes_total', 'Routes added and removed, and failures', 'change', [
      'added',
      'removed',
      'occupied',
      'unreachable',
      'failed',
      'unread',
    ]),
    netlinkRequests: counter('netlink_requests_total', 'Requests made to the kernel'),
  }
}

const durations = (registry: Registry) => {
  const histogram = (name: string, help: string) =>
    new Histogram({
      name: `${prefix}${name}`,
      help,
      buckets: [0.001, 0.01, 0.1, 1, 10],
      registers: [registry],
    })
  return {
    listSeconds: histogram('list_seconds', 'Duration of full lists'),
    reconcileSeconds: histogram('reconcile_seconds', 'Duration of comparisons of routes'),
  }
}

/** The metrics that the agent counts by itself. */
export type AgentMetrics = ReturnType<typeof counters> & ReturnType<typeof durations>

/** The registry and its counters. */
export const createMetrics = (): AgentMetrics & { readonly registry: Registry } => {
  const registry = new Registry()
  return { registry, ...counters(registry), ...durations(registry) }
}

const flag = (value: boolean): number => (value ? 1 : 0)

const msPerSecond = 1000
const microsecondsPerSecond = 1e6

const addProcessMetrics = (registry: Registry): void => {
  const registers = [registry]
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory',
    registers,
    collect() {
      this.set(process.memoryUsage.rss())
    },
  })
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start of the process, in seconds since the epoch',
    registers,
  }).set(performance.timeOrigin / msPerSecond)
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time',
    registers,
    collect() {
      const { user, system } = process.cpuUsage()
      this.reset()
      this.inc((user + system) / microsecondsPerSecond)
    },
  })
}

/** Adds the gauges whose values are computed at each scrape. */
export const addSources = (registry: Registry, sources: MetricSources): void => {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  gauge('watch_connected', '1 while a watch is open', () => flag(sources.connected()))
  gauge('api_silent_seconds', 'Time since the API server last sent anything', sources.silentSeconds)
  gauge('nodes', 'Nodes known', sources.nodes)
  gauge('route_problems', 'Ranges of nodes without a route, or of several nodes', sources.routeProblems)
  gauge('ready', 'The answer of /readyz', () => flag(sources.ready()))
  new Gauge({
    name: `${prefix}network_state`,
    help: "The state of the node's network: 1 for the one it is in",
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const state of networkStates) this.set({ state }, flag(state === sources.networkState()))
    },
  })
  new Gauge({
    name: `${prefix}routes`,
    help: 'Routes to other nodes, by state',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      for (const [state, count] of sources.routes()) this.set({ state }, count)
    },
  })
  new Gauge({
    name: `${prefix}build_info`,
    help: 'Version and commit',
    labelNames: ['version', 'commit'],
    registers: [registry],
  }).set({ version, commit }, 1)
  addProcessMetrics(registry)
}
