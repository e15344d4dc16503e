import { type Attachment, validAttachments } from '../../src/cni/conf'
import { delegate } from '../../src/cni/delegate'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { type Link, linkByName, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { type BridgeConf, readBridgeConf } from './config'
import { collectMasquerade } from './masquerade'
import { halfMadeGroup, parseAlias } from './veth'

/** Is it a host veth of this network whose attachment the runtime does not know, or one that was never finished? */
const isStale = (link: Link, conf: BridgeConf, valid: readonly Attachment[]): boolean => {
  if (link.kind !== 'veth') return false
  const id = parseAlias(link.alias)
  if (!id) return link.group === halfMadeGroup
  return (
    id.network === conf.network &&
    !valid.some(({ containerID, ifName }) => containerID === id.containerID && ifName === id.ifName)
  )
}

const deleteStaleVeths = (conf: BridgeConf, valid: readonly Attachment[]): void =>
  withNetlink(NETLINK_ROUTE, nl => {
    const bridge = linkByName(nl, conf.bridge)
    if (!bridge) return
    for (const port of linkList(nl, bridge.index)) if (isStale(port, conf, valid)) linkDel(nl, port)
  })

export const gc = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  const valid = validAttachments(call.conf)
  await runAll([
    () => deleteStaleVeths(conf, valid),
    () => collectMasquerade(conf.network, valid),
    async () => {
      if (conf.ipamType) await delegate(call, conf.ipamType, 'GC')
    },
  ])
}
