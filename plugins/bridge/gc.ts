import { parseAlias } from '../../src/attachment/alias'
import { type Attachment, isAmong, isOn } from '../../src/attachment/attachment'
import { validAttachments } from '../../src/cni/conf'
import { delegate } from '../../src/cni/delegate'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type Link, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { type BridgeConf, readBridgeConf } from './config'
import { halfMadeGroup } from './veth'

/**
 * Is it a host veth of this network whose attachment the runtime does not know? Also one on the network's bridge that
 * was never finished and does not say whose it is.
 */
const isStale = (
  link: Link,
  { network, bridge }: { network: string; bridge: Link | undefined },
  isValid: (id: Attachment) => boolean,
): boolean => {
  if (link.kind !== 'veth') return false
  const id = parseAlias(link.alias)
  if (!id) return link.alias === '' && link.group === halfMadeGroup && link.master === bridge?.index
  return isOn(id, network) && !isValid(id)
}

const deleteStaleVeths = async (conf: BridgeConf, valid: readonly Attachment[]): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    // Not only the bridge's ports: one that was taken out of it has to go too.
    const links = linkList(nl)
    const bridge = links.find(({ name }) => name === conf.bridge)
    const isValid = isAmong(valid)
    const stale = links.filter(link => isStale(link, { network: conf.network, bridge }, isValid))
    await runAll(stale.map(link => () => linkDel(nl, link)))
  } finally {
    nl.close()
  }
}

export const gc = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const valid = validAttachments(call.conf)
  await runAll([
    () => deleteStaleVeths(conf, valid),
    async () => (await import('./masquerade-removal.js')).collectMasquerade(conf.network, valid),
    async () => {
      if (conf.prune) await (await import('./prune.js')).pruneBridge(conf)
    },
    async () => (await import('./drop-invalid.js')).collectGuards(conf.network, valid),
    // After the veths: a check stays as long as there is one for it.
    async () => (await import('./mac-spoof.js')).collectMacChecks(),
    async () => {
      if (conf.ipamType) await delegate(call, conf.ipamType, 'GC')
    },
  ])
}
