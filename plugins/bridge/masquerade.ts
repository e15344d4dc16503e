import type { Attachment } from '../../src/cni/conf'
import { CniError, ErrorCode, runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import type { Result } from '../../src/cni/result'
import type { Undo } from '../../src/host/undo'
import type { Cidr } from '../../src/ip/cidr'
import { defaultBackend } from '../../src/netfilter/masquerade'
import {
  masqueradedContainers,
  missingMasqueradeIptables,
  setupMasqueradeIptables,
  teardownMasqueradeIptables,
} from '../../src/netfilter/masquerade-iptables'
import type { BridgeConf } from './config'

const notYet = () =>
  new CniError(ErrorCode.unsupportedField, '"ipMasqBackend": "nftables" is not supported yet', {
    details: 'use "iptables", or leave the key out where iptables is installed',
  })

/** Has the traffic of the container's addresses masqueraded, if the network wants it. */
export const setupMasquerade = async (
  call: Call,
  conf: BridgeConf,
  { ips }: Result,
  undo: Undo,
): Promise<void> => {
  if (!conf.masquerade || ips.length === 0) return
  const addresses = ips.map(({ address }) => address)
  const { backend = defaultBackend(), exempt } = conf.masquerade
  if (backend === 'nftables') throw notYet()
  const { containerID, ifName } = call.env
  undo.add('remove the masquerade rules', () => teardownMasquerade(call, conf, addresses))
  await setupMasqueradeIptables({ network: conf.network, containerID, ifName, addresses, exempt })
}

/** Removes the container's masquerade rules. Without addresses, all of the container on this network. */
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
export const missingMasquerade = async (call: Call, conf: BridgeConf, { ips }: Result): Promise<string[]> => {
  if (!conf.masquerade) return []
  const { backend = defaultBackend(), exempt } = conf.masquerade
  if (backend === 'nftables') throw notYet()
  const { containerID, ifName } = call.env
  const addresses = ips.map(({ address }) => address)
  return missingMasqueradeIptables({ network: conf.network, containerID, ifName, addresses, exempt })
}
