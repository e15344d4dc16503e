import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, prevResultOf } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import { chooseBackend } from '../../src/netfilter/backend'
import { dedupRules } from '../../src/netfilter/rules/dedup/nft'
import { hasAllBaseRules } from '../../src/netfilter/rules/pods/nft'
import { formatPlaced } from '../../src/netfilter/rules/pods/nft-rules'
import { NETLINK_NETFILTER, NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { missingPod, podOf, portsOfCall } from './attachment'
import { type KubenetConf, readKubenetConf } from './config'
import { readBridge } from './gateways'
import { bridgeConf, callOf, inNewestVersion, parts } from './parts'

const broken = (message: string, details: string) =>
  new CniError(ErrorCode.internal, message, { details: `${details}; rebuild with: kubenet sync` })

/** A promiscuous bridge sends some frames twice without the rules against it. */
const checkDedup = (conf: KubenetConf): void => {
  if (conf.hairpinMode !== 'promiscuous-bridge') return
  const state = withNetlink(NETLINK_ROUTE, nl => readBridge(nl, conf))
  if (!state) return
  const wanted = { network: conf.network, mac: state.bridge.mac, gateways: state.gateways }
  if (!dedupRules.missing(wanted)) return
  throw broken(
    `the rules of "${conf.bridge}" against duplicate packets are not in table "bridge kubenet"`,
    'something flushed them, or the bridge has other addresses',
  )
}

const checkRuleset = async (call: Call, conf: KubenetConf, result: Result): Promise<void> => {
  if (!withNetlink(NETLINK_NETFILTER, nl => hasAllBaseRules(nl, conf))) {
    throw broken(
      `the rules of network "${conf.network}" are not in table "inet kubenet"`,
      'something flushed them',
    )
  }
  const missing = await missingPod(podOf(call, conf, result, portsOfCall(call, 'nftables')))
  if (missing.length > 0) {
    throw broken('rules of the container are missing', missing.map(formatPlaced).join(', '))
  }
}

export const check = async (given: Call): Promise<void> => {
  const call = inNewestVersion(given)
  const conf = readKubenetConf(call)
  const result = prevResultOf(call)
  if (!result) throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  const backend = chooseBackend(conf.backend)
  await parts.loopback.check(callOf(call, { type: 'loopback' }))
  await parts.bridge.check(callOf(call, bridgeConf(conf, { masquerade: backend === 'iptables' })))
  checkDedup(conf)
  if (backend === 'nftables') await checkRuleset(call, conf, result)
  else await parts.portmap.check(callOf(call, { type: 'portmap', backend }))
  await parts.bandwidth.check(callOf(call, { type: 'bandwidth' }))
}
