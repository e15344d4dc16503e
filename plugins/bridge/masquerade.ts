import type { Attachment } from '../../src/cni/conf'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { Undo } from '../../src/host/undo'
import type { Cidr } from '../../src/ip/cidr'
import { type Backend, backends, defaultBackend } from '../../src/netfilter/backend'
import {
  masqueradedContainers,
  missingMasqueradeIptables,
  setupMasqueradeIptables,
  teardownMasqueradeIptables,
} from '../../src/netfilter/masquerade-iptables'
import type { Expected } from './check-container'
import type { BridgeConf } from './config'

const notYet = () =>
  new CniError(ErrorCode.unsupportedField, '"ipMasqBackend": "nftables" is not supported yet', {
    details: 'use "iptables", or leave the key out where iptables is installed',
  })

/** The backend a network is masqueraded with. Throws code 7 for one that does not exist, code 2 for nftables. */
export const requireBackend = ({ masquerade }: BridgeConf): Backend | undefined => {
  if (!masquerade) return undefined
  const { backend: named = defaultBackend() } = masquerade
  const backend = backends.find(name => name === named)
  if (!backend) {
    throw new CniError(
      ErrorCode.invalidNetworkConfig,
      `unknown ipmasq backend ${JSON.stringify(masquerade.backend)}`,
    )
  }
  if (backend === 'nftables') throw notYet()
  return backend
}

/** Has the traffic of the container's addresses masqueraded, if the network wants it. */
export const setupMasquerade = async (
  call: Call,
  conf: BridgeConf,
  { ips }: Result,
  undo: Undo,
): Promise<void> => {
  if (!conf.masquerade || ips.length === 0) return
  const addresses = ips.map(({ address }) => address)
  requireBackend(conf)
  const { exempt } = conf.masquerade
  const { containerID, ifName } = call.env
  undo.add('remove the masquerade rules', () => teardownMasquerade(call, conf, addresses))
  await setupMasqueradeIptables({ network: conf.network, containerID, ifName, addresses, exempt })
}

/** Removes the container's masquerade rules. Without addresses, all of the container's on this network. */
export const teardownMasquerade = async (
  call: Call,
  conf: BridgeConf,
  addresses: readonly Cidr[],
): Promise<void> => {
  if (!conf.masquerade) return
  await teardownMasqueradeIptables(conf.network, call.env.containerID, addresses)
}

/** Removes the masquerade rules of the network's containers that have no valid attachment left. */
export const collectMasquerade = async (network: string, valid: readonly Attachment[]): Promise<void> => {
  const alive = new Set(valid.map(({ containerID }) => containerID))
  const stale = [...(await masqueradedContainers(network))].filter(containerID => !alive.has(containerID))
  await runAll(stale.map(containerID => () => teardownMasqueradeIptables(network, containerID, [])))
}

/** The masquerade rules the container should have and has not, in the backend's words. */
export const missingMasquerade = async (
  call: Call,
  conf: BridgeConf,
  { ips }: Pick<Expected, 'ips'>,
): Promise<string[]> => {
  if (!conf.masquerade) return []
  requireBackend(conf)
  const { exempt } = conf.masquerade
  const { containerID, ifName } = call.env
  const addresses = ips.map(({ address }) => address)
  return missingMasqueradeIptables({ network: conf.network, containerID, ifName, addresses, exempt })
}
