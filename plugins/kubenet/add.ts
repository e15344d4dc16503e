import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { endStep } from '../../src/host/steps'
import type { Undo } from '../../src/host/undo'
import { chooseBackend } from '../../src/netfilter/backend'
import { unlessRefused } from '../../src/netlink/error'
import { bridgePortSet } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { readBandwidthConf } from '../bandwidth/config'
import { setUpLimits } from '../bandwidth/main'
import { setUpPorts } from '../portmap/add'
import { takeDownFlows } from '../portmap/conntrack'
import { setUpLocalnetRouting } from '../portmap/localnet'
import { type KubenetPod, podOf, portsOfCall, setUpPod } from './attachment'
import { type KubenetConf, readKubenetConf } from './config'
import { collectGateways, setUpDedup } from './gateways'
import { bridgeConf, callOf, inNewestVersion, parts } from './parts'

/** Host ports over nftables: the ruleset, then the flows and the sysctl that portmap would see to. */
const setUpRuleset = async (call: Call, pod: KubenetPod, undo: Undo): Promise<void> => {
  await setUpPod(call, pod, undo)
  const { ports } = pod
  if (ports.mappings.length === 0) return
  takeDownFlows(ports)
  for (const { addr } of ports.addresses) if (addr.family === 4) setUpLocalnetRouting(addr, undo)
}

/**
 * With br_netfilter a frame that a service leads back to its pod is bridged, not routed, and leaves by the port it came
 * in. The copy that a promiscuous bridge gives the host was meant to take its place; since Linux 6.9, and the stable
 * versions of that time, it has no connection any more, and so cannot be masqueraded.
 */
const hairpinPort = (conf: KubenetConf, { interfaces: [, port] }: Result): void => {
  if (conf.hairpinMode !== 'promiscuous-bridge' || !port) return
  withNetlink(NETLINK_ROUTE, nl =>
    unlessRefused(['ENODEV'], () => bridgePortSet(nl, { name: port.name }, { hairpin: true })),
  )
}

/** Throws where addresses of the node's ranges lead nowhere any more. A pod with ranges of its own gets none of them. */
const checkNewPods = ({ noNewPods, runtimeRanges }: KubenetConf): void => {
  if (noNewPods !== undefined && runtimeRanges.length === 0)
    throw new CniError(ErrorCode.tryAgainLater, 'kubenet: this node takes no new pods', {
      details: noNewPods,
    })
}

export const add = async (given: Call, undo: Undo): Promise<Result> => {
  const call = inNewestVersion(given)
  const conf = readKubenetConf(call)
  const backend = chooseBackend(conf.backend)
  const masquerade = backend === 'iptables'
  checkNewPods(conf)
  // Contradictions are refused before anything is made.
  const ports = portsOfCall(call, backend)
  const limits = readBandwidthConf(callOf(call, { type: 'bandwidth' }))
  endStep('backend')
  // The loopback interface of the container: a runtime that calls loopback itself finds it up.
  await parts.loopback.add(callOf(call, { type: 'loopback' }), undo)
  endStep('loopback')
  const connected = await parts.bridge.add(callOf(call, bridgeConf(conf, { masquerade })), undo)
  hairpinPort(conf, connected)
  const pod = podOf(call, conf, connected, ports)
  if (masquerade) await setUpPorts(call, pod.ports, undo)
  else await setUpRuleset(call, pod, undo)
  setUpDedup(conf, await collectGateways(call, conf))
  endStep('ruleset')
  return setUpLimits(call, limits, connected, undo)
}
