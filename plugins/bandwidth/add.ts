import { type Call, requireNetns } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/steps'
import type { Undo } from '../../src/host/undo'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { readBandwidthConf, requirePrevResult } from './config'
import { requireHostVeth } from './host-veth'
import { setUpEgress, setUpIngress } from './shaper'

export const add = async (call: Call, undo: Undo): Promise<Result> => {
  const { network, ingress, egress } = readBandwidthConf(call)
  const prevResult = requirePrevResult(call)
  requireNetns(call)
  if (!ingress && !egress) return prevResult
  const { containerID, ifName } = call.env
  return withNetlink(NETLINK_ROUTE, nl => {
    const veth = requireHostVeth(nl, call, prevResult)
    endStep('veth')
    if (ingress) setUpIngress(nl, veth, ingress, undo)
    endStep('ingress')
    if (!egress) return prevResult
    const ifb = setUpEgress(nl, veth, { limit: egress, id: { network, containerID, ifName } }, undo)
    endStep('egress')
    return { ...prevResult, interfaces: [...prevResult.interfaces, { name: ifb.name, mac: ifb.mac }] }
  })
}
