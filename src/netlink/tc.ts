/** Traffic control: queueing disciplines and the filters on them, named and numbered as tc(8) does. */
import { unlessRefused } from './error'
import { type NetlinkSocket, NLM_F_CREATE, NLM_F_EXCL } from './socket'
import type { Attribute } from './wire/attributes'
import * as w from './wire/tc'
import { fifoOptions, type TbfOptions, tbfOptions } from './wire/tc-tbf'
import { readRedirect, redirectOptions } from './wire/tc-u32'

export { TC_H_INGRESS, TC_H_ROOT, type TcObject, tcHandle } from './wire/tc'
export { readFifoLimit, readTbf, type Tbf, type TbfOptions } from './wire/tc-tbf'

/** <linux/netlink.h> */
const NLM_F_ECHO = 0x8

/** <linux/if_ether.h>, as tcm_info wants it: in network byte order. */
const ETH_P_ALL_BE = 0x0300
const redirectPriority = 1

/** The handle of every ingress qdisc; of a clsact too. */
const ingressHandle = w.tcHandle(0xffff, 0)

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

/** What an interface's ingress qdisc does with packets. */
export type IngressFilters = {
  /** The ifindexes to which filters redirect every packet, 0 for an interface that is gone. */
  readonly redirects: readonly number[]
  /** How many filters do something else. */
  readonly others: number
}

/**
 * Sends all that an interface receives to another one, to be sent there. Equivalent to: `tc filter add dev $link
 * parent ffff: protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev $target`.
 */
export const redirectAdd = (nl: NetlinkSocket, link: LinkRef, target: LinkRef): void => {
  const info = redirectPriority * 0x10000 + ETH_P_ALL_BE
  nl.request(`redirect what "${link.name}" receives to "${target.name}"`, {
    type: w.RTM_NEWTFILTER,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    body: w.tcBody(
      { index: link.index, parent: ingressHandle, info },
      'u32',
      redirectOptions(target.index, w.tcHandle(1, 1)),
    ),
  })
}

// A u32 filter's node has these bits set; the hash tables that hold the nodes are listed as filters, too.
const nodeMask = 0xfff

/** What is done with the packets an interface receives. Equivalent to: `tc filter show dev $link ingress`. */
export const ingressFilters = (nl: NetlinkSocket, link: LinkRef): IngressFilters => {
  const redirects: number[] = []
  let others = 0
  const replies = listFilters(nl, link)
  for (const { kind, handle, options } of replies) {
    // Each priority is listed once without options, as the head of its filters.
    if (!options || (kind === 'u32' && (handle & nodeMask) === 0)) continue
    const target = kind === 'u32' ? readRedirect(options) : undefined
    if (target === undefined) others++
    else redirects.push(target)
  }
  return { redirects, others }
}

const listFilters = (nl: NetlinkSocket, link: LinkRef): w.TcObject[] => {
  const replies = unlessRefused(['ENOENT', 'ENODEV', 'EINVAL'], () =>
    nl.dump(`list the ingress filters of "${link.name}"`, {
      type: w.RTM_GETTFILTER,
      body: w.tcPlace({ index: link.index, parent: ingressHandle }),
    }),
  )
  return (replies ?? []).filter(({ type }) => type === w.RTM_NEWTFILTER).map(({ data }) => w.readTc(data))
}
