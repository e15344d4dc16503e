import { CniError, ErrorCode } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { warn } from '../../src/host/log'
import { chooseBackend } from '../../src/netfilter/backend'
import { dedupRules, noDedup } from '../../src/netfilter/rules/dedup/nft'
import { podRules } from '../../src/netfilter/rules/pods/nft'
import { type KubenetConf, readKubenetConf } from './config'
import { bridgeConf, callOf, parts } from './parts'

/** A promiscuous bridge needs rules of nftables, whatever filters the rest. Throws code 50 if it cannot have them. */
const checkDedup = ({ hairpinMode }: KubenetConf): void => {
  if (hairpinMode !== 'promiscuous-bridge') return
  try {
    if (dedupRules.probe()) return
  } catch (error) {
    const { message, details } = CniError.from(error)
    const remedy = '"hairpinMode": "hairpin-veth" does not need it'
    throw new CniError(
      ErrorCode.pluginNotAvailable,
      'kubenet: a promiscuous bridge does not work on this kernel',
      { details: [message, details, remedy].filter(Boolean).join('; '), cause: error },
    )
  }
  warn(noDedup)
}

/** Pods without limits work on a kernel that has nothing to limit them with. */
const checkBandwidth = async (call: Call): Promise<void> => {
  try {
    await parts.bandwidth.status(callOf(call, { type: 'bandwidth' }))
  } catch (error) {
    const { message, details } = CniError.from(error)
    warn(`kubenet: only pods without limits can be connected: ${message}; ${details}`)
  }
}

/** Can pods be connected now? Throws code 50 with the first reason why not. */
export const status = async (call: Call): Promise<void> => {
  const conf = readKubenetConf(call)
  const backend = chooseBackend(conf.backend)
  if (backend === 'nftables') {
    try {
      await podRules.probe()
    } catch (cause) {
      const { message, details } = CniError.from(cause)
      throw new CniError(ErrorCode.pluginNotAvailable, 'kubenet: nftables cannot be used', {
        details: `${message}; ${details}`,
        cause,
      })
    }
  }
  await parts.loopback.status(callOf(call, { type: 'loopback' }))
  await parts.portmap.status(callOf(call, { type: 'portmap', backend }))
  await parts.bridge.status(callOf(call, bridgeConf(conf, { masquerade: backend === 'iptables' })))
  checkDedup(conf)
  await checkBandwidth(call)
  // Not a failure: runtimes would report the whole node as not ready, and Kubernetes would evict the pods that run.
  if (conf.noNewPods !== undefined) warn(`kubenet: this node takes no new pods: ${conf.noNewPods}`)
}
