/**
 * The objects for the kernel. CNI's ingress is what comes into the container: what the host sends by its end of the
 * veth pair, where a tbf shapes it. Egress is what that end receives, and what is received cannot be queued: it is
 * redirected to an ifb, which sends it through a tbf of its own and then lets it arrive.
 *
 *   qdisc tbf 1: dev veth… root rate 8Mbit burst 10000b lat 25ms
 *   qdisc ingress ffff: dev veth… parent ffff:fff1
 *   filter parent ffff: protocol all pref 1 u32 … match 00000000/00000000 at 0
 *     action order 1: mirred (Egress Redirect to device bwp…) stolen
 *   qdisc tbf 1: dev bwp… root rate 8Mbit burst 10000b lat 25ms
 *
 * Where another program filters already what the host's end receives, by a clsact or an ingress qdisc, the redirect is
 * put behind its filters: the ifb hands packets back past all of them, so before them it would keep them from working.
 */
import type { Attachment } from '../../src/attachment/attachment'
import { formatAlias } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { warn } from '../../src/host/log'
import { isFrom } from '../../src/host/system-error'
import type { Undo } from '../../src/host/undo'
import { unlessRefused } from '../../src/netlink/error'
import { type Link, linkByIndex, linkSet } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import {
  type IngressPlace,
  type IngressRedirect,
  ingressFilterDel,
  ingressFilters,
  ingressQdiscAdd,
  qdiscAt,
  qdiscDel,
  redirectAdd,
  redirectPlaces,
  TC_H_INGRESS,
  TC_H_ROOT,
  type TcObject,
  tbfAdd,
  tbfQueueAdd,
  tcHandle,
} from '../../src/netlink/tc'
import type { RateLimit } from './config'
import { setUpIfb } from './ifb'
import { frameBytes, tbfOptionsOf, tokenBucket } from './token-bucket'

/** A part of the kernel that shaping needs, by the name of its module. */
export type KernelPart = 'ifb' | 'sch_tbf' | 'sch_ingress' | 'cls_u32' | 'act_mirred'

const options: Record<KernelPart, string> = {
  ifb: 'CONFIG_IFB',
  sch_tbf: 'CONFIG_NET_SCH_TBF',
  sch_ingress: 'CONFIG_NET_SCH_INGRESS',
  cls_u32: 'CONFIG_NET_CLS_U32',
  act_mirred: 'CONFIG_NET_ACT_MIRRED',
}

/** The failure of a kernel that lacks a part, and how to get it. */
export const missingPart = (part: KernelPart, cause?: unknown): CniError => {
  const said = isFrom(cause, 'netlink') ? `; ${cause.message}: ${cause.details}` : ''
  return new CniError(ErrorCode.pluginNotAvailable, `bandwidth: the kernel has no ${part}`, {
    details:
      `load it with "modprobe ${part}"; if there is no such module, install the distribution's package of extra ` +
      `kernel modules, or a kernel built with ${options[part]}${said}`,
    ...(cause !== undefined && { cause }),
  })
}

/** How the kernel says that it does not know a kind: of link, and of qdisc, filter or action. */
const unknownKind = ['EOPNOTSUPP', 'ENOENT']

/** Runs a request that needs parts of the kernel; if they are what is missing, says so. */
export const needing = <T>(parts: readonly [KernelPart, ...KernelPart[]], work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (!isFrom(error, 'netlink', ...unknownKind)) throw error
    // Of a filter and its action, the kernel's own words tell which it was.
    const part = parts.length > 1 && /action/i.test(error.details) ? parts[parts.length - 1] : parts[0]
    throw missingPart(part ?? parts[0], error)
  }
}

/** Is it the root qdisc that this plugin and the reference set? */
const isShaper = (qdisc: TcObject | undefined): qdisc is TcObject =>
  qdisc?.kind === 'tbf' && qdisc.handle === tcHandle(1, 0)

/** The shaper of what an interface sends; undefined if it has none. */
export const shaperOf = (nl: NetlinkSocket, link: Link): TcObject | undefined => {
  const root = qdiscAt(nl, link, TC_H_ROOT)
  return isShaper(root) ? root : undefined
}

/** Removes the shaper of what an interface sends, if it has one. */
export const takeDownShaper = (nl: NetlinkSocket, link: Link): void => {
  const shaper = shaperOf(nl, link)
  if (shaper) qdiscDel(nl, link, { handle: shaper.handle, parent: TC_H_ROOT })
}

/**
 * Removes the redirect of what an interface receives, if it leads to one of the interfaces given or to one that is
 * gone. Rules of other programs for these packets stay: the ingress qdisc goes only if nothing else is in it, a clsact
 * never, as this plugin makes none.
 */
export const takeDownRedirect = (nl: NetlinkSocket, link: Link, targets: readonly Link[]): void => {
  const qdisc = qdiscAt(nl, link, TC_H_INGRESS)
  if (!qdisc) return
  const { redirects, others } = ingressFilters(nl, link)
  const leadsThere = ({ to }: IngressRedirect) => targets.some(({ index }) => index === to)
  if (qdisc.kind === 'ingress' && others === 0 && redirects.every(one => one.to === 0 || leadsThere(one))) {
    qdiscDel(nl, link, { handle: qdisc.handle, parent: TC_H_INGRESS })
    return
  }
  // Among others' filters, one to nowhere is known as this plugin's by its place only.
  const ours = redirects.filter(one => leadsThere(one) || (one.to === 0 && one.isLast))
  for (const { filter } of ours) ingressFilterDel(nl, link, filter)
}

/** Runs `work` on the interface as it is by then, on a socket of its own: for undoing. */
const later = (link: Link, work: (nl: NetlinkSocket, link: Link) => void) => (): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const found = linkByIndex(nl, link.index)
    if (found) work(nl, found)
  })

/** Adds a qdisc; where one is in its place that a killed ADD may have left, replaces it. */
const replacing = (add: () => void, removeLeftover: () => void): void => {
  try {
    add()
  } catch (error) {
    if (!isFrom(error, 'netlink', 'EEXIST')) throw error
    removeLeftover()
    add()
  }
}

const warnOfSmallBurst = (link: Link, { burstBits }: RateLimit): void => {
  // A packet longer than the bucket is deep never passes: net/sched/sch_tbf.c, tbf_enqueue.
  if (burstBits / 8 >= frameBytes(link.mtu)) return
  warn(
    `bandwidth: a burst of ${burstBits} bits is less than one packet of "${link.name}", whose MTU is ${link.mtu}`,
  )
}

const addShaper = (nl: NetlinkSocket, link: Link, limit: RateLimit): void => {
  warnOfSmallBurst(link, limit)
  const bucket = tokenBucket(limit, link.mtu)
  replacing(
    () => needing(['sch_tbf'], () => tbfAdd(nl, link, tbfOptionsOf(bucket))),
    () => takeDownShaper(nl, link),
  )
  // The limit is the reference's; a queue of that length would hold packets for minutes.
  if (bucket.effective) tbfQueueAdd(nl, link, bucket.effective.limitBytes)
}

/** Limits what comes into the container: what the host sends by its end of the veth pair. */
export const setUpIngress = (nl: NetlinkSocket, veth: Link, limit: RateLimit, undo: Undo): void => {
  undo.add(`remove the shaper of "${veth.name}"`, later(veth, takeDownShaper))
  addShaper(nl, veth, limit)
}

/** Limits what goes out of the container, and answers the ifb it goes through. */
export const setUpEgress = (
  nl: NetlinkSocket,
  veth: Link,
  { limit, id }: { limit: RateLimit; id: Attachment },
  undo: Undo,
): Link => {
  const ifb = needing(['ifb'], () => setUpIfb(nl, id, veth.mtu, undo))
  addShaper(nl, ifb, limit)
  linkSet(nl, ifb, { up: true, alias: formatAlias(id), group: 0 })
  redirectTo(nl, veth, ifb, undo)
  return ifb
}

/**
 * Makes room for the redirect and answers the place: in an ingress qdisc of its own, which takes the place of what a
 * killed ADD left, or behind the filters of others.
 */
const makeRoom = (nl: NetlinkSocket, veth: Link, ifb: Link): IngressPlace => {
  const addQdisc = () =>
    unlessRefused(['EEXIST'], () => {
      needing(['sch_ingress'], () => ingressQdiscAdd(nl, veth))
      return true
    })
  if (addQdisc()) return redirectPlaces.alone
  takeDownRedirect(nl, veth, [ifb])
  if (addQdisc()) return redirectPlaces.alone
  const { redirects, others } = ingressFilters(nl, veth)
  if (redirects.length > 0) throw takenElsewhere(veth)
  if (others > 0) {
    warn(
      `bandwidth: "${veth.name}" has filters of other programs, which come first: packets that they decide on are not ` +
        `limited; see "tc filter show dev ${veth.name} ingress"`,
    )
  }
  const isClsact = qdiscAt(nl, veth, TC_H_INGRESS)?.kind === 'clsact'
  return isClsact ? redirectPlaces.clsact : redirectPlaces.ingress
}

/** The last step of an egress limit: from here on, packets take the way through the ifb. */
const redirectTo = (nl: NetlinkSocket, veth: Link, ifb: Link, undo: Undo): void => {
  const place = makeRoom(nl, veth, ifb)
  undo.add(
    `remove the redirect of "${veth.name}"`,
    later(veth, (again, link) => takeDownRedirect(again, link, [ifb])),
  )
  needing(['cls_u32', 'act_mirred'], () => redirectAdd(nl, veth, ifb, place))
}

const takenElsewhere = (veth: Link): CniError =>
  new CniError(
    ErrorCode.internal,
    `redirect packets from "${veth.name}": another redirect takes all of them`,
    {
      details:
        `see "tc filter show dev ${veth.name} ingress": another program redirects all packets; ` +
        'the egress limit excludes this',
    },
  )
