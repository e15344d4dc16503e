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
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: `${prefix}${name}`, help, labelNames, registers: [registry] })
  return {
    requests: counter('api_requests_total', 'Requests made to the API server', ['verb']),
    events: counter('watch_events_total', 'Events received', ['type']),
    watchEnds: counter('watch_ends_total', 'Lists and watches that ended, by reason', ['reason']),
    badObjects: counter('objects_ignored_total', 'Objects skipped, by reason', ['kind']),
    conflistWrites: counter('conflist_writes_total', 'Writes of the network configuration'),
    routeChanges: counter('route_changes_total', 'Routes added and removed, and failures', ['change']),
    netlinkRequests: counter('netlink_requests_total', 'Requests made to the kernel'),
  }
}

const values = (registry: Registry) => ({
  listSeconds: new Gauge({
    name: `${prefix}list_seconds`,
    help: 'Duration of the last full list',
    registers: [registry],
  }),
  reconcileSeconds: new Histogram({
    name: `${prefix}reconcile_seconds`,
    help: 'Duration of the last comparison of routes',
    buckets: [0.001, 0.01, 0.1, 1, 10],
    registers: [registry],
  }),
})

/** The metrics that the agent counts by itself. */
export type AgentMetrics = ReturnType<typeof counters> & ReturnType<typeof values>

/** The registry and its counters. */
export const createMetrics = (): AgentMetrics & { readonly registry: Registry } => {
  const registry = new Registry()
  return { registry, ...counters(registry), ...values(registry) }
}

const flag = (value: boolean): number => (value ? 1 : 0)

const addProcessMetrics = (registry: Registry): void => {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  gauge('process_uptime_seconds', 'Time since the process started', () => performance.now() / 1000)
  gauge('process_cpu_seconds_total', 'User and system CPU time', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
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
