/** The packet filter's rules, host ports and rates of an attachment: what "nft flush ruleset" and others remove. */
import { readBandwidthConf } from '../../plugins/bandwidth/config'
import { missingPod, podOf, portsOfCall, setUpPod, takeDownPod } from '../../plugins/kubenet/attachment'
import { type KubenetConf, readKubenetConf } from '../../plugins/kubenet/config'
import { readBridge, setUpDedup } from '../../plugins/kubenet/gateways'
import { bridgeConf, callOf, inNewestVersion, parts } from '../../plugins/kubenet/parts'
import { readPortmapConf } from '../../plugins/portmap/config'
import { takeDownFlows } from '../../plugins/portmap/conntrack'
import { setUpLocalnetRouting } from '../../plugins/portmap/localnet'
import type { Call, Plugin } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { readSysctl } from '../../src/host/sysctl'
import { undoOnFailure } from '../../src/host/undo'
import { chooseBackend } from '../../src/netfilter/backend'
import { dedupRules } from '../../src/netfilter/rules/dedup/nft'
import { hasAllBaseRules, setUpBaseRules } from '../../src/netfilter/rules/pods/nft'
import { elementsOf, formatPlaced } from '../../src/netfilter/rules/pods/nft-rules'
import { linkByIndex } from '../../src/netlink/link'
import { routeGet } from '../../src/netlink/route'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { bridgeComparisons } from './bridge'
import { type Change, type ChangeKind, type Comparison, repair } from './change'

/** Does CHECK of a part find nothing amiss? What it says else is why the part is rebuilt. */
const complaint = async (part: Plugin, call: Call): Promise<string | undefined> => {
  try {
    await part.check(call)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const rebuildPart = async (part: Plugin, call: Call): Promise<void> => {
  await undoOnFailure(undo => part.add(call, undo))
}

/** DEL of a part, without a namespace: what the call's path leads to may be another container's by then. */
const delPart = (part: Plugin, call: Call): Promise<void> =>
  part.del({ ...call, env: { ...call.env, command: 'DEL', netns: '' }, netns: undefined })

const comparePart = async (part: Plugin, call: Call, what: ChangeKind): Promise<Change[]> => {
  const said = await complaint(part, call)
  if (said === undefined) return []
  return [
    {
      what,
      text: `${what}: rebuild them (${said})`,
      apply: () => rebuildPart(part, call),
      takeBack: () => delPart(part, call),
    },
  ]
}

/** Host ports of portmap, with whichever backend; its ADD puts rules in place of those that are there. */
export const portmapComparisons = (call: Call): Comparison[] => {
  const { mappings } = readPortmapConf(call)
  if (mappings.length === 0) return []
  return [() => comparePart(parts.portmap, call, 'host-ports'), () => compareLocalnet(call)]
}

/** Rates of bandwidth. The rest of a half that is gone must go first. */
export const bandwidthComparisons = (call: Call): Comparison[] => {
  const { ingress, egress } = readBandwidthConf(call)
  if (!ingress && !egress) return []
  const compare = async (): Promise<Change[]> => {
    const changes = await comparePart(parts.bandwidth, call, 'rates')
    return changes.map(change => ({
      ...change,
      apply: async () => {
        await parts.bandwidth.del(call)
        await change.apply()
      },
    }))
  }
  return [compare]
}

/** 127.0.0.1 must lead on to the pod, which a bridge made again forgets. */
const compareLocalnet = (call: Call): Change[] => {
  const pod = readPortmapConf(call).addresses.find(({ addr }) => addr.family === 4)?.addr
  if (!pod) return []
  const name = withNetlink(NETLINK_ROUTE, nl => {
    const index = routeGet(nl, pod)
    return index === undefined ? undefined : linkByIndex(nl, index)?.name
  })
  if (name === undefined || readSysctl(`net/ipv4/conf/${name}/route_localnet`) !== '0') return []
  const apply = () => repair(false, undo => setUpLocalnetRouting(pod, undo))
  return [{ what: 'forwarding', text: `net.ipv4.conf.${name}.route_localnet: set it to 1`, apply }]
}

const compareFrame = (conf: KubenetConf): Change[] => {
  if (withNetlink(NETLINK_NETFILTER, nl => hasAllBaseRules(nl, conf))) return []
  const apply = () => withNetlink(NETLINK_NETFILTER, nl => setUpBaseRules(nl, conf))
  return [{ what: 'rules', text: `table "inet kubenet": rebuild the rules of "${conf.network}"`, apply }]
}

const compareDedup = (conf: KubenetConf): Change[] => {
  if (conf.hairpinMode !== 'promiscuous-bridge') return []
  const state = withNetlink(NETLINK_ROUTE, nl => readBridge(nl, conf))
  if (!state) return []
  const wanted = { network: conf.network, mac: state.bridge.mac, gateways: state.gateways }
  if (!dedupRules.missing(wanted)) return []
  const text = `table "bridge kubenet": rebuild the rules of "${conf.network}"`
  return [{ what: 'rules', text, apply: () => setUpDedup(conf) }]
}

const compareElements = async (call: Call, conf: KubenetConf, result: Result): Promise<Change[]> => {
  const pod = podOf(call, conf, result, portsOfCall(call, 'nftables'))
  const missing = await missingPod(pod)
  if (missing.length === 0) return []
  const isPartial = missing.length < elementsOf(pod).length
  const apply = async () => {
    await repair(isPartial, undo => setUpPod(call, pod, undo))
    takeDownFlows(pod.ports)
  }
  const text = `table "inet kubenet": add ${missing.map(formatPlaced).join(', ')}`
  return [{ what: 'rules', text, apply, takeBack: () => takeDownPod(pod) }]
}

/** All that kubenet made for an attachment; `veth` is the name of its host end. */
export const kubenetComparisons = (given: Call, result: Result, veth: string): Comparison[] => {
  const call = inNewestVersion(given)
  const conf = readKubenetConf(call)
  const backend = chooseBackend(conf.backend)
  const masquerade = backend === 'iptables'
  const ports = callOf(call, { type: 'portmap', backend })
  return [
    ...bridgeComparisons(callOf(call, bridgeConf(conf, { masquerade })), result, {
      veth,
      hairpin: conf.hairpinMode === 'promiscuous-bridge',
    }),
    ...(masquerade
      ? portmapComparisons(ports)
      : [() => compareFrame(conf), () => compareElements(call, conf, result), () => compareLocalnet(ports)]),
    () => compareDedup(conf),
    ...bandwidthComparisons(callOf(call, { type: 'bandwidth' })),
  ]
}
