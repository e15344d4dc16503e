/** Traffic control: queueing disciplines and the filters on them, named and numbered as tc(8) does. */
import { readFileSync } from 'node:fs'
import { unlessRefused } from './error'
import { type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './socket'
import type { Attribute } from './wire/message'
import * as w from './wire/tc'
import { fifoOptions, readRedirect, redirectOptions, type TbfOptions, tbfOptions } from './wire/tc-options'

export { TC_H_INGRESS, TC_H_ROOT, type TcObject, tcHandle } from './wire/tc'
export { readFifoLimit, readHtbDefault, readTbf, type Tbf, type TbfOptions } from './wire/tc-options'

/** <linux/netlink.h> */
const NLM_F_ECHO = 0x8

/** <linux/if_ether.h>, as tcm_info wants it: in network byte order. */
const ETH_P_ALL_BE = 0x0300

/** The handle of every ingress qdisc; of a clsact too, which takes filters at a place of its own only. */
const ingressHandle = w.tcHandle(0xffff, 0)
const ingressFiltersAt = w.tcHandle(0xffff, w.TC_H_MIN_INGRESS)

/** Where a filter on what an interface receives is put, and after which others it comes: `parent` and `pref` of tc. */
export type IngressPlace = { readonly parent: number; readonly priority: number }

/** Behind all filters that an interface has. */
const lastPriority = 0xffff

/** The places of a redirect: alone in an ingress qdisc, and behind others' filters in the qdisc of each kind. */
export const redirectPlaces = {
  alone: { parent: ingressHandle, priority: 1 },
  ingress: { parent: ingressHandle, priority: lastPriority },
  clsact: { parent: ingressFiltersAt, priority: lastPriority },
} as const satisfies Record<string, IngressPlace>

type LinkRef = { readonly index: number; readonly name: string }

const handleText = (handle: number): string => `${Math.floor(handle / 0x10000).toString(16)}:`

type NewQdisc = { kind: string; handle: number; parent: number; options: Attribute[1] }

const qdiscAdd = (nl: NetlinkSocket, link: LinkRef, qdisc: NewQdisc): void => {
  const { kind, handle, parent, options } = qdisc
  nl.request(`create ${kind} qdisc ${handleText(handle)} on "${link.name}"`, {
    type: w.RTM_NEWQDISC,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: w.tcBody({ index: link.index, handle, parent }, kind, options),
  })
}

/** Shapes what an interface sends. Equivalent to: `tc qdisc add dev $link root handle 1: tbf …`. */
export const tbfAdd = (nl: NetlinkSocket, link: LinkRef, tbf: TbfOptions): void => {
  qdiscAdd(nl, link, { kind: 'tbf', handle: w.tcHandle(1, 0), parent: w.TC_H_ROOT, options: tbfOptions(tbf) })
}

/**
 * Gives the tbf of an interface a queue that is shorter than its own limit.
 * Equivalent to: `tc qdisc add dev $link parent 1:1 handle 2: bfifo limit $limitBytes`.
 */
export const tbfQueueAdd = (nl: NetlinkSocket, link: LinkRef, limitBytes: number): void => {
  const [handle, parent] = [w.tcHandle(2, 0), w.tcHandle(1, 1)]
  qdiscAdd(nl, link, { kind: 'bfifo', handle, parent, options: fifoOptions(limitBytes) })
}

/** Makes room for filters on what an interface receives. Equivalent to: `tc qdisc add dev $link ingress`. */
export const ingressQdiscAdd = (nl: NetlinkSocket, link: LinkRef): void => {
  qdiscAdd(nl, link, { kind: 'ingress', handle: ingressHandle, parent: w.TC_H_INGRESS, options: undefined })
}

/**
 * The qdisc at one place of an interface (TC_H_ROOT, TC_H_INGRESS or a class), or undefined. The one the kernel puts
 * into a tbf by itself is not shown.
 */
export const qdiscAt = (nl: NetlinkSocket, link: LinkRef, parent: number): w.TcObject | undefined => {
  const replies = unlessRefused(['ENOENT', 'ENODEV'], () =>
    nl.request(`look up the qdisc of "${link.name}"`, {
      type: w.RTM_GETQDISC,
      // The answer is a notification to all who listen; it comes to who asked only as an echo.
      flags: NLM_F_ECHO,
      body: w.tcPlace({ index: link.index, parent }),
    }),
  )
  const reply = replies?.find(({ type }) => type === w.RTM_NEWQDISC)
  return reply && w.readTc(reply.data)
}

/** The qdiscs of all interfaces. Equivalent to: `tc qdisc show`. */
export const qdiscList = (nl: NetlinkSocket): w.TcObject[] =>
  nl
    .dump('list the qdiscs', { type: w.RTM_GETQDISC, body: w.tcPlace({ index: 0 }) })
    .filter(({ type }) => type === w.RTM_NEWQDISC)
    .map(({ data }) => w.readTc(data))

/** Removes a qdisc and what hangs on it; one that is gone is no failure. Equivalent to: `tc qdisc del dev $link …`. */
export const qdiscDel = (
  nl: NetlinkSocket,
  link: LinkRef,
  qdisc: { handle: number; parent: number },
): void => {
  const { handle, parent } = qdisc
  unlessRefused(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    nl.request(`remove qdisc ${handleText(handle)} from "${link.name}"`, {
      type: w.RTM_DELQDISC,
      body: w.tcPlace({ index: link.index, handle, parent }),
    }),
  )
}

/** A filter that sends every packet to another interface. */
export type IngressRedirect = {
  /** The ifindex of that interface, 0 if it is gone. */
  readonly to: number
  /** Is it behind all filters of others? */
  readonly isLast: boolean
  readonly filter: w.TcObject
}

/** The actions on packets that an interface receives, by its ingress qdisc or its clsact. */
type IngressFilters = {
  readonly redirects: readonly IngressRedirect[]
  /** How many filters do something else. */
  readonly others: number
}

/**
 * Sends all that an interface receives to another one, to be sent there. Equivalent to: `tc filter add dev $link
 * parent $parent protocol all prio $priority u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev $target`.
 */
export const redirectAdd = (
  nl: NetlinkSocket,
  link: LinkRef,
  target: LinkRef,
  { parent, priority }: IngressPlace,
): void => {
  const info = priority * 0x10000 + ETH_P_ALL_BE
  nl.request(`redirect packets from "${link.name}" to "${target.name}"`, {
    type: w.RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: w.tcBody(
      { index: link.index, parent, info },
      'u32',
      redirectOptions(target.index, w.tcHandle(1, 1)),
    ),
  })
}

/**
 * Removes one filter on what an interface receives; one that is gone is no failure. Equivalent to: `tc filter del dev
 * $link ingress protocol … prio … handle … u32`.
 */
export const ingressFilterDel = (nl: NetlinkSocket, link: LinkRef, filter: w.TcObject): void => {
  const { handle, info, kind } = filter
  unlessRefused(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    nl.request(`remove an ingress filter of "${link.name}"`, {
      type: w.RTM_DELTFILTER,
      body: w.tcBody({ index: link.index, handle, parent: ingressFiltersAt, info }, kind, undefined),
    }),
  )
}

// A u32 filter's node has these bits set; the hash tables that hold the nodes are listed as filters, too.
const nodeMask = 0xfff

/** The actions on packets that an interface receives. Equivalent to: `tc filter show dev $link ingress`. */
export const ingressFilters = (nl: NetlinkSocket, link: LinkRef): IngressFilters => {
  const redirects: IngressRedirect[] = []
  let others = 0
  for (const filter of listFilters(nl, link)) {
    const { kind, handle, options, chain, info } = filter
    // Each priority is listed once without options, as the head of its filters.
    if (!options || (kind === 'u32' && (handle & nodeMask) === 0)) continue
    const to = kind === 'u32' && chain === 0 ? readRedirect(options) : undefined
    if (to === undefined) others++
    else redirects.push({ to, isLast: info >>> 16 === lastPriority, filter })
  }
  return { redirects, others }
}

const listFilters = (nl: NetlinkSocket, link: LinkRef): w.TcObject[] => {
  const replies = unlessRefused(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    nl.dump(`list the ingress filters of "${link.name}"`, {
      type: w.RTM_GETTFILTER,
      body: w.tcPlace({ index: link.index, parent: ingressFiltersAt }),
    }),
  )
  return (replies ?? []).filter(({ type }) => type === w.RTM_NEWTFILTER).map(({ data }) => w.readTc(data))
}

/** The layout of the kernel since 2.6.31: 64 ns to a tick (<net/pkt_sched.h>, PSCHED_SHIFT). */
const defaultTicksPerUsec = 15.625

/**
 * Reads /proc/net/psched, four numbers in hex: "000003e8 00000040 000f4240 3b9aca00". The first is how many ns a µs
 * has, the second how many ns a tick has, the third the clock's units a second. Undefined if they are none.
 */
export const parsePsched = (text: string): number | undefined => {
  const [usec = 0, tick = 0, clock = 0] = text.split(' ').map(field => Number.parseInt(field, 16))
  const ticksPerUsec = (usec / tick) * (clock / 1e6)
  return Number.isFinite(ticksPerUsec) && ticksPerUsec > 0 ? ticksPerUsec : undefined
}

/** How many of the ticks in which the kernel measures buckets there are to a microsecond. */
export const readTicksPerUsec = (): number => {
  try {
    return parsePsched(readFileSync('/proc/net/psched', 'utf8')) ?? defaultTicksPerUsec
  } catch {
    return defaultTicksPerUsec // no traffic control in the kernel, which the first request will say better
  }
}
