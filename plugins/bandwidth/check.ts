import type { Attachment } from '../../src/attachment/attachment'
import { ifbNames } from '../../src/attachment/interfaces'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, requireNetns } from '../../src/cni/plugin'
import { type Link, linkByIndex, linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { ingressFilters, qdiscAt, readFifoLimit, readTbf, tcHandle } from '../../src/netlink/tc'
import { type RateLimit, readBandwidthConf, requirePrevResult } from './config'
import { requireHostVeth } from './host-veth'
import { isMarkedAs, isUnmarked } from './ifb'
import { shaperOf } from './shaper'
import { bucketFaults, type TokenBucket, tokenBucket } from './token-bucket'

const broken = (message: string, details = '') => new CniError(ErrorCode.internal, message, { details })

/** The faults of the queue of an effective burst. Without a second bucket there is none. */
const queueFaults = (nl: NetlinkSocket, link: Link, { effective }: TokenBucket): string[] => {
  const queue = qdiscAt(nl, link, tcHandle(1, 1))
  const limit = queue?.kind === 'bfifo' && queue.options ? readFifoLimit(queue.options) : undefined
  if (!effective || limit === effective.limitBytes) return []
  return [`the queue is ${limit === undefined ? 'missing' : `${limit} bytes`}, not ${effective.limitBytes}`]
}

/** Throws unless what `link` sends is shaped as configured. */
const checkShaper = (nl: NetlinkSocket, direction: string, link: Link, limit: RateLimit): void => {
  const what = `bandwidth: ${direction} shaping on "${link.name}"`
  const shaper = shaperOf(nl, link)
  const shown = shaper?.options && readTbf(shaper.options)
  if (!shown) throw broken(`${what} is missing`, 'there is no tbf qdisc 1: at its root')
  const bucket = tokenBucket(limit, link.mtu)
  const faults = bucketFaults(shown, bucket)
  if (shown.peakRateBytes !== 0) faults.push(...queueFaults(nl, link, bucket))
  if (faults.length > 0) throw broken(`${what} is not as configured`, faults.join('; '))
}

/** The attachment's ifb, to which the host veth's ingress filter must lead. */
const requireIfb = (nl: NetlinkSocket, veth: Link, id: Attachment): Link => {
  const { redirects } = ingressFilters(nl, veth)
  const names = ifbNames(id)
  for (const { to } of redirects) {
    const link = to === 0 ? undefined : linkByIndex(nl, to)
    if (link && names.includes(link.name) && (isMarkedAs(link, id) || isUnmarked(link))) return link
  }
  if (!names.some(name => linkByName(nl, name))) {
    throw broken(`bandwidth: egress shaping of "${veth.name}" is missing`, `there is no ifb "${names[0]}"`)
  }
  throw broken(
    `bandwidth: egress of "${veth.name}" is not redirected to its ifb`,
    `"tc filter show dev ${veth.name} ingress" should show a redirect to "${names[0]}"`,
  )
}

export const check = async (call: Call): Promise<void> => {
  const { network, ingress, egress } = readBandwidthConf(call)
  const prevResult = requirePrevResult(call)
  requireNetns(call)
  if (!ingress && !egress) return
  const { containerID, ifName } = call.env
  withNetlink(NETLINK_ROUTE, nl => {
    const veth = requireHostVeth(nl, call, prevResult)
    if (ingress) checkShaper(nl, 'ingress', veth, ingress)
    if (!egress) return
    checkShaper(nl, 'egress', requireIfb(nl, veth, { network, containerID, ifName }), egress)
  })
}
