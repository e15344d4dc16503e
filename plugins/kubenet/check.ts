import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { parseResult } from '../../src/cni/result'
import { NETLINK_NETFILTER, withNetlink } from '../../src/netlink/socket'
import { missingOfAttachment } from './attachment'
import { chooseBackend } from './backend'
import { type KubenetConf, readKubenetConf } from './config'
import { formatPlaced } from './elements'
import { bridgeConf, callOf, parts } from './parts'
import { frameIsThere } from './state'

const checkRuleset = (call: Call, conf: KubenetConf): void => {
  const result = parseResult(call.conf.prevResult, call.version, 'prevResult')
  const broken = (message: string, details: string) =>
    new CniError(ErrorCode.internal, message, { details: `${details}; rebuild with: kubenet sync` })
  if (!withNetlink(NETLINK_NETFILTER, nl => frameIsThere(nl, conf))) {
    throw broken(
      `the rules of network "${conf.network}" are not in table "inet kubenet"`,
      'something flushed them',
    )
  }
  const missing = missingOfAttachment(call, conf, result)
  if (missing.length > 0) {
    throw broken('the ruleset lacks what the container has', missing.map(formatPlaced).join(', '))
  }
}

export const check = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  if (call.conf.prevResult === undefined) {
    throw new CniError(ErrorCode.invalidNetworkConfig, 'Required prevResult missing')
  }
  const backend = chooseBackend(conf)
  await parts.loopback.check(callOf(call, { type: 'loopback' }))
  await parts.bridge.check(callOf(call, bridgeConf(conf, { masquerade: backend === 'iptables' })))
  if (backend === 'nftables') checkRuleset(call, conf)
  else await parts.portmap.check(callOf(call, { type: 'portmap', backend }))
  await parts.bandwidth.check(callOf(call, { type: 'bandwidth' }))
}
