/**
 * Brings the kernel's routes into line with the table. Ours carry a protocol number of their own, by which `ip route
 * show proto 107` finds them, and only routes with that number are ever removed. If another program has a route to a
 * destination, that route stays, and the log names it.
 */
import { isFrom } from '../../src/host/system-error'
import { addrEquals, formatAddr } from '../../src/ip/addr'
import { formatCidr } from '../../src/ip/cidr'
import { type ListedRoute, RT_TABLE_MAIN, routeAddNew, routeDel, routeList } from '../../src/netlink/route'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { type Log, messageOf } from '../log'
import type { AgentMetrics } from '../metrics'
import { monotonicSeconds } from '../wait'
import { isRoute, type NodeRoute, type RouteTable } from './route-table'

/** The kernel's name for who made a route, <linux/rtnetlink.h> rtm_protocol: 107 is "k", and no other program's. */
const routeProtocol = 107

/** The state of a route: in the kernel, no such gateway on any link, or the destination is another program's. */
type RouteState = 'installed' | 'unreachable' | 'occupied' | 'failed'

/** The kernel's errors for a gateway that is on no link of this node. */
const unreachableCodes = ['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'ENETDOWN', 'ENONET']

/** Requests until the event loop has a turn: some three milliseconds. */
const atOnce = 256

const stateOf = (error: unknown): RouteState => {
  const code = isFrom(error, 'netlink') ? error.code : ''
  if (code === 'EEXIST') return 'occupied'
  return unreachableCodes.includes(code) ? 'unreachable' : 'failed'
}

const isOurs = ({ protocol }: ListedRoute): boolean => protocol === routeProtocol

/** Is a route of the kernel the one that is wanted? */
const isSame = (found: ListedRoute, { dst, gw }: NodeRoute): boolean =>
  found.gw !== undefined && addrEquals(found.gw, gw) && formatCidr(found.dst) === formatCidr(dst)

type RouteKeeperOptions = {
  readonly table: RouteTable
  /** May routes be removed? Not by the word of a list that does not even have this node. */
  readonly mayRemove: () => boolean
  readonly log: Log
  readonly metrics: AgentMetrics
}

export class RouteKeeper {
  readonly #options: RouteKeeperOptions
  /** The routes in the kernel, by destination, as far as is known. */
  #installed = new Map<string, ListedRoute[]>()
  /** Where others have routes to, whatever their metric: it was so at the last reconciliation. */
  #foreign: ReadonlySet<string> = new Set()
  /** Routes that could not be made, by destination. */
  readonly #failed = new Map<string, RouteState>()
  readonly #pending = new Set<string>()
  #isFullDue = true
  #working: Promise<void> | undefined
  #hasReconciled = false

  constructor(options: RouteKeeperOptions) {
    this.#options = options
  }

  /** Has the kernel been compared with a list once? */
  get hasReconciled(): boolean {
    return this.#hasReconciled
  }

  /** How many routes are in each state. */
  counts(): ReadonlyMap<RouteState, number> {
    const counts = new Map<RouteState, number>([
      ['installed', this.#installed.size],
      ['unreachable', 0],
      ['occupied', 0],
      ['failed', 0],
    ])
    for (const state of this.#failed.values()) counts.set(state, (counts.get(state) ?? 0) + 1)
    return counts
  }

  /** Notes that these destinations may have another route now, and sees to them. */
  touch(destinations: Iterable<string>): void {
    for (const key of destinations) this.#pending.add(key)
    if (this.#pending.size > 0) this.#work()
  }

  /** Compares all of the kernel's routes with the table, and sees to the differences. */
  reconcile(): void {
    this.#isFullDue = true
    this.#work()
  }

  /** Resolves when nothing is left to do. */
  async settled(): Promise<void> {
    await this.#working
  }

  /** Removes every route of ours. */
  removeAll(): void {
    withNetlink(NETLINK_ROUTE, nl => {
      for (const route of this.#list(nl).filter(isOurs)) routeDel(nl, route)
    })
    this.#installed.clear()
  }

  #work(): void {
    this.#working ??= this.#run().finally(() => {
      this.#working = undefined
      if (this.#pending.size > 0 || this.#isFullDue) this.#work()
    })
  }

  async #run(): Promise<void> {
    // Several changes that come together are seen to together.
    await new Promise(resolve => setImmediate(resolve))
    const started = monotonicSeconds()
    const { metrics, log } = this.#options
    try {
      if (this.#isFullDue) this.#readAll()
      while (this.#pending.size > 0) {
        withNetlink(NETLINK_ROUTE, nl => this.#some(nl))
        await new Promise(resolve => setImmediate(resolve))
      }
      this.#hasReconciled = true
    } catch (error) {
      // The next reconciliation starts over.
      log.error('the routes could not be read', { error: messageOf(error) })
      metrics.routeChanges.inc({ change: 'unread' })
      this.#pending.clear()
    }
    metrics.reconcileSeconds.observe(monotonicSeconds() - started)
  }

  #list(nl: NetlinkSocket): ListedRoute[] {
    this.#options.metrics.netlinkRequests.inc(2)
    return ([4, 6] as const)
      .flatMap(family => routeList(nl, family))
      .filter(({ table }) => table === RT_TABLE_MAIN)
  }

  #readAll(): void {
    this.#isFullDue = false
    const { table } = this.#options
    const installed = new Map<string, ListedRoute[]>()
    const foreign = new Set<string>()
    for (const route of withNetlink(NETLINK_ROUTE, nl => this.#list(nl))) {
      const key = formatCidr(route.dst)
      if (!isOurs(route)) foreign.add(key)
      else installed.set(key, [...(installed.get(key) ?? []), route])
    }
    this.#installed = installed
    this.#foreign = foreign
    for (const key of table.destinations()) if (!this.#isAsWanted(key)) this.#pending.add(key)
    for (const key of installed.keys()) if (!this.#isAsWanted(key)) this.#pending.add(key)
    for (const key of this.#failed.keys()) this.#pending.add(key)
  }

  #isAsWanted(key: string): boolean {
    const wanted = this.#options.table.routeTo(key)
    const found = this.#installed.get(key) ?? []
    if (!isRoute(wanted)) return found.length === 0
    return found.length === 1 && found.every(route => isSame(route, wanted))
  }

  #some(nl: NetlinkSocket): void {
    let left = atOnce
    for (const key of this.#pending) {
      if (left-- === 0) return
      this.#pending.delete(key)
      this.#see(nl, key)
    }
  }

  /** Makes the routes to one destination what they should be. */
  #see(nl: NetlinkSocket, key: string): void {
    const wanted = this.#options.table.routeTo(key)
    const route = isRoute(wanted) ? wanted : undefined
    if (!route && !this.#options.mayRemove()) return
    let isThere = false
    for (const found of this.#installed.get(key) ?? []) {
      if (route && !isThere && isSame(found, route)) isThere = true
      else this.#remove(nl, key, found)
    }
    if (!route) this.#failed.delete(key)
    else if (!isThere) this.#add(nl, key, route)
  }

  #remove(nl: NetlinkSocket, key: string, route: ListedRoute): void {
    const { metrics, log } = this.#options
    metrics.netlinkRequests.inc()
    try {
      routeDel(nl, route)
      metrics.routeChanges.inc({ change: 'removed' })
      const rest = (this.#installed.get(key) ?? []).filter(other => other !== route)
      if (rest.length > 0) this.#installed.set(key, rest)
      else this.#installed.delete(key)
      log.debug('route removed', { dst: key, gw: route.gw && formatAddr(route.gw) })
    } catch (error) {
      metrics.routeChanges.inc({ change: 'failed' })
      log.error('a route could not be removed', { dst: key, error: messageOf(error) })
    }
  }

  #add(nl: NetlinkSocket, key: string, route: NodeRoute): void {
    const { metrics, log } = this.#options
    const { node, dst, gw } = route
    // The kernel itself refuses only a second route of the same metric.
    if (this.#foreign.has(key)) {
      this.#fail(route, 'occupied', 'another program has a route to it')
      return
    }
    metrics.netlinkRequests.inc()
    const table = RT_TABLE_MAIN
    try {
      routeAddNew(nl, { dst, gw, index: 0, protocol: routeProtocol, table })
    } catch (error) {
      this.#fail(route, stateOf(error), messageOf(error))
      return
    }
    this.#installed.set(key, [{ dst, gw, index: 0, protocol: routeProtocol, table, priority: 0, scope: 0 }])
    this.#failed.delete(key)
    metrics.routeChanges.inc({ change: 'added' })
    log.debug('route added', { node, dst: key, gw: formatAddr(gw) })
  }

  /** Notes that there is no route; says so once. It is tried again at every reconciliation. */
  #fail({ node, dst, gw }: NodeRoute, state: RouteState, error: string): void {
    const { metrics, log } = this.#options
    const key = formatCidr(dst)
    const isNews = this.#failed.get(key) !== state
    this.#failed.set(key, state)
    metrics.routeChanges.inc({ change: state })
    if (isNews) log.warn('a route could not be added', { node, dst: key, gw: formatAddr(gw), state, error })
  }
}
