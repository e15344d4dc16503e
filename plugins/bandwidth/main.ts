import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, type Plugin, requireNetns } from '../../src/cni/plugin'
import { requirePrivilege } from '../../src/cni/privilege'
import type { Result } from '../../src/cni/result'
import { atLeast, specVersions } from '../../src/cni/version'
import { endStep } from '../../src/host/steps'
import { isFrom } from '../../src/host/system-error'
import type { Undo } from '../../src/host/undo'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { hasActionKind, hasLinkKind, hasQdiscKind } from '../../src/netlink/tc-probe'
import { check } from './check'
import { type BandwidthConf, readBandwidthConf, requirePrevResult } from './config'
import { del } from './del'
import { gc } from './gc'
import { markedVeth, requireHostVeth } from './host-veth'
import { type KernelPart, missingPart, setUpEgress, setUpIngress } from './shaper'

/**
 * Each part and how to ask for it. None for cls_u32: a kernel looks for a filter's kind only where it may be put, and
 * to make such a place would change the host.
 */
const probes: readonly [KernelPart, (nl: NetlinkSocket) => boolean | undefined][] = [
  ['ifb', nl => hasLinkKind(nl, 'ifb')],
  ['sch_tbf', nl => hasQdiscKind(nl, 'tbf')],
  ['sch_ingress', nl => hasQdiscKind(nl, 'ingress')],
  ['act_mirred', nl => hasActionKind(nl, 'mirred')],
]

/** Can containers be shaped now? Throws code 50 with what the kernel lacks if not. Changes nothing. */
const status = async (call: Call): Promise<void> => {
  readBandwidthConf(call)
  try {
    withNetlink(NETLINK_ROUTE, nl => {
      for (const [part, isThere] of probes) if (isThere(nl) === false) throw missingPart(part)
    })
  } catch (error) {
    if (!isFrom(error, 'netlink')) throw error
    throw new CniError(ErrorCode.pluginNotAvailable, 'bandwidth: traffic control cannot be used', {
      details: `${error.message}: ${error.details}`,
      cause: error,
    })
  }
  requirePrivilege('bandwidth')
}

/** Limits the rates of the attachment with this result. Returns the result with the ifb, where one is made. */
export const setUpLimits = (
  call: Call,
  { network, ingress, egress }: BandwidthConf,
  prevResult: Result,
  undo: Undo,
): Result => {
  if (!ingress && !egress) return prevResult
  const { containerID, ifName } = call.env
  return withNetlink(NETLINK_ROUTE, nl => {
    const veth = markedVeth(nl, call, prevResult) ?? requireHostVeth(nl, call, prevResult)
    endStep('veth')
    if (ingress) setUpIngress(nl, veth, ingress, undo)
    endStep('ingress')
    if (!egress) return prevResult
    const ifb = setUpEgress(nl, veth, { limit: egress, id: { network, containerID, ifName } }, undo)
    endStep('egress')
    return { ...prevResult, interfaces: [...prevResult.interfaces, { name: ifb.name, mac: ifb.mac }] }
  })
}

const add = async (call: Call, undo: Undo): Promise<Result> => {
  const conf = readBandwidthConf(call)
  const prevResult = requirePrevResult(call)
  requireNetns(call)
  return setUpLimits(call, conf, prevResult, undo)
}

/** Limits the rates of a container's interface: the counterpart of the reference's bandwidth. */
export const plugin: Plugin = {
  name: 'bandwidth',
  // A chained plugin needs results that list interfaces, which came with 0.3.0.
  versions: specVersions.filter(version => atLeast(version, '0.3.0')),
  add,
  check,
  del,
  gc,
  status,
}
