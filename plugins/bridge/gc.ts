import { type Attachment, isAmong, isOn } from '../../src/attachment/attachment'
import { parseAlias } from '../../src/attachment/interfaces'
import { validAttachments } from '../../src/cni/conf'
import { delegate } from '../../src/cni/delegate'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type Link, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/netlink/socket'
import { type BridgeConf, readBridgeConf } from './config'
import { leaseFolder } from './ipam-call'
import { collectMasquerade, loadDropInvalid } from './masquerade'
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

const collectVeths = async (conf: BridgeConf, valid: readonly Attachment[]): Promise<void> => {
  const nl = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    // Not only the bridge's ports: one that was taken out of it must go too.
    const links = linkList(nl)
    const bridge = links.find(({ name }) => name === conf.bridge)
    const isValid = isAmong(valid)
    const stale = links.filter(link => isStale(link, { network: conf.network, bridge }, isValid))
    await runAll(stale.map(link => () => linkDel(nl, link)))
  } finally {
    nl.close()
  }
}

/** Removes the rules of attachments that are gone. */
const collectRules = (call: Call, { network }: BridgeConf, valid: readonly Attachment[]): Promise<void> =>
  runAll([
    () => collectMasquerade({ network, valid, dataDir: leaseFolder(call) }),
    async () => (await loadDropInvalid()).collect({ network, valid }),
  ])

export const gc = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const valid = validAttachments(call.conf)
  let hasStaleRules = true
  await runAll([
    () => collectVeths(conf, valid),
    async () => {
      await collectRules(call, conf, valid)
      hasStaleRules = false
    },
    async () => {
      if (conf.prune) await (await import('./bridge.js')).takeDownUnusedBridge(conf)
    },
    // After the veths: a check stays as long as there is one for it.
    async () => (await import('../../src/netfilter/rules/spoof-check/nft.js')).spoofCheckRules.collect(),
    async () => {
      // Rules that are left would apply to the next container with the address.
      if (conf.ipamType && !hasStaleRules) await delegate(call, conf.ipamType, 'GC')
    },
  ])
}
