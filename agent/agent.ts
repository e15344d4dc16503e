/** The agent of one node: what it watches, what it keeps in line, and what it tells about itself. */
import { readSysctl } from '../src/host/sysctl'
import { type Cidr, formatCidr } from '../src/ip/cidr'
import { type CredentialSource, describeSource } from './api/credentials'
import { type ClusterNode, isSameNetwork } from './cluster-node'
import { addressOf, type ListenAddress, listen, type Questions, type Verdict } from './http'
import { createLog, type Log, type LogLevel } from './log'
import { addSources, createMetrics } from './metrics'
import { NodeNetwork, type NodeNetworkOptions } from './node-network'
import { NodeReporter } from './node-reporter'
import { Reflector } from './reflector'
import { RouteKeeper } from './routes/route-keeper'
import { type RouteProblem, RouteTable } from './routes/route-table'
import { wait } from './wait'

type AgentOptions = Omit<NodeNetworkOptions, 'log' | 'metrics'> & {
  readonly nodeName: string
  readonly credentials: CredentialSource
  readonly listenAddress: ListenAddress | undefined
  readonly nodeRoutes: boolean
  /** Ranges outside of them get no route; none given: all get one. */
  readonly clusterCIDRs: readonly Cidr[]
  readonly resyncSeconds: number
  readonly idleSeconds: number
  readonly removeOnExit: boolean
  readonly log: Log
}

/** How many problems one look tells of. */
const mostProblems = 20

/** Tells of ranges without a route: of each once, and then again only to who wants to know everything. */
class ToldProblems {
  readonly #log: Log
  #told: ReadonlySet<string> = new Set()

  constructor(log: Log) {
    this.#log = log
  }

  tell(problems: readonly RouteProblem[]): void {
    const now = new Set<string>()
    for (const { node, dst, reason } of problems.slice(0, mostProblems)) {
      const fields = { node, dst: formatCidr(dst), reason }
      const key = Object.values(fields).join('\n')
      now.add(key)
      this.#log[this.#told.has(key) ? 'debug' : 'warn']('no route', fields)
    }
    this.#told = now
  }
}

type Parts = ReturnType<typeof assemble>

const assemble = (options: AgentOptions) => {
  const { log, nodeName, nodeRoutes } = options
  const metrics = createMetrics()
  const network = new NodeNetwork({ ...options, metrics })
  const table = new RouteTable(nodeName, options.clusterCIDRs)
  const told = new ToldProblems(log)
  const reporter = new NodeReporter(options)
  const look = (node: ClusterNode | undefined) => {
    network.apply(node)
    reporter.note(network, node)
  }
  const isOwn = (node: ClusterNode | undefined) => node?.name === nodeName
  const reflector: Reflector = new Reflector({
    credentials: options.credentials,
    name: nodeRoutes ? undefined : nodeName,
    idleSeconds: options.idleSeconds,
    log,
    metrics,
    listener: {
      onList: () => {
        look(reflector.store.get(nodeName))
        if (!nodeRoutes) return
        table.replace(reflector.store.all())
        keeper.reconcile()
        told.tell(table.problems())
      },
      onChange: (before, after) => {
        if (before && after && isSameNetwork(before, after)) return
        if (isOwn(before ?? after)) look(after)
        if (nodeRoutes) keeper.touch(table.change(before, after))
      },
    },
  })
  const mayRemove = () => reflector.store.get(nodeName) !== undefined
  const keeper = new RouteKeeper({ table, mayRemove, log, metrics })
  return { metrics, network, table, reflector, keeper, reporter, look, told }
}

const readiness = ({ network, keeper }: Parts, { nodeRoutes }: AgentOptions): Verdict => {
  if (network.state !== 'ready') return { ok: false, reason: `${network.state}: ${network.reason}` }
  if (nodeRoutes && !keeper.hasReconciled) return { ok: false, reason: 'the routes are not set up yet' }
  return { ok: true, reason: 'ok' }
}

const questionsOf = (parts: Parts, options: AgentOptions): Questions => {
  const { metrics, network, reflector, keeper, table } = parts
  const { registry } = metrics
  addSources(registry, {
    connected: () => reflector.isConnected,
    silentSeconds: () => reflector.silentSeconds,
    nodes: () => reflector.store.size,
    ready: () => readiness(parts, options).ok,
    networkState: () => network.state,
    routes: () => keeper.counts(),
    routeProblems: () => table.problems().length,
  })
  return {
    // That it answers at all is the sign of life; a cluster that is not to be had is no reason to be started again.
    health: () => ({ ok: true, reason: 'ok' }),
    readiness: () => readiness(parts, options),
    metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

/** Looks at file and routes again and again: others may change them, and a refusal's reason may have gone. */
const keepInLine = async (parts: Parts, options: AgentOptions, signal: AbortSignal): Promise<void> => {
  const { look, reflector, keeper, table, told } = parts
  while (!signal.aborted) {
    await wait(options.resyncSeconds * 1000 * (0.9 + Math.random() / 5), signal)
    if (signal.aborted || !reflector.hasListed) continue
    look(reflector.store.get(options.nodeName))
    if (!options.nodeRoutes) continue
    keeper.reconcile()
    told.tell(table.problems())
  }
}

/** Runs until `signal` is aborted; rejects only if it cannot start, or cannot remove what it was told to remove. */
const runUntil = async (signal: AbortSignal, options: AgentOptions): Promise<void> => {
  const { log, nodeName, credentials, listenAddress, nodeRoutes, removeOnExit } = options
  const cluster = describeSource(credentials)
  const parts = assemble(options)
  const server = listenAddress && (await listen(listenAddress, questionsOf(parts, options)))
  log.info('started', { node: nodeName, cluster, nodeRoutes, listen: server && addressOf(server) })
  try {
    await Promise.all([parts.reflector.run(signal), keepInLine(parts, options, signal)])
    await Promise.all([parts.keeper.settled(), parts.reporter.stop()])
    if (removeOnExit) {
      if (nodeRoutes) parts.keeper.removeAll()
      parts.network.remove()
    }
  } finally {
    server?.closeAllConnections()
    server?.close()
    log.info('stopped')
  }
}

type RunOptions = Omit<AgentOptions, 'log' | 'nodeName'> & {
  /** Undefined: NODE_NAME of the environment, else the host's name, as kubelet has it. */
  readonly nodeName: string | undefined
  readonly logLevel: LogLevel
  readonly print: (text: string) => void
}

/** A DNS subdomain (RFC 1123), as the name of every Node is. */
const validNodeName = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

const nodeNameOf = ({ nodeName, credentials: { env } }: RunOptions): string => {
  const name = nodeName ?? (env.NODE_NAME || readSysctl('kernel/hostname')?.toLowerCase() || '')
  if (validNodeName.test(name)) return name
  throw new Error(`${JSON.stringify(name)} is no valid node name; set --node-name or NODE_NAME`)
}

/** Runs the agent until SIGTERM or SIGINT; answers 0. Rejects if it cannot start. */
export const runAgent = async (options: RunOptions): Promise<0> => {
  const nodeName = nodeNameOf(options)
  const log = createLog(options.print, options.logLevel)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info('stopping', { signal })
      stop.abort()
    })
  }
  await runUntil(stop.signal, { ...options, nodeName, log })
  return 0
}
