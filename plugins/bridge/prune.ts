/**
 * "prune": the bridge goes with its last container. An ADD holds the bridge's lock from the creation of the bridge
 * until the container's port is in it, so that no bridge is deleted under an ADD. Only loaded where the key is set.
 */
import { mkdirSync } from 'node:fs'
import { withLock } from '../../src/host/lock'
import { linkByName, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { prunableGroup } from './bridge'
import type { BridgeConf } from './config'
import { isGatewayPort } from './veth'

const folder = '/run/kubenet-cni/bridges'

/** Runs `work` while holding the lock of the network's bridge; throws code 11 if it is not had in time. */
export const holdBridge = <T>({ bridge }: BridgeConf, work: () => T): Promise<T> => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return withLock(`${folder}/${bridge}`, work)
}

/** Deletes a bridge that has no ports but those that lead to the gateways of its VLANs, and these with it. */
const deleteUnused = (nl: NetlinkSocket, name: string): void => {
  const bridge = linkByName(nl, name)
  if (bridge?.kind !== 'bridge' || bridge.group !== prunableGroup) return
  const ports = linkList(nl, bridge.index)
  if (!ports.every(port => isGatewayPort(port, bridge))) return
  for (const port of ports) linkDel(nl, port)
  linkDel(nl, bridge)
}

/** Deletes the network's bridge if it was made with "prune" and no container is on it any more. */
export const pruneBridge = async (conf: BridgeConf): Promise<void> => {
  // Where there is no such bridge no lock is needed, and no folder for it.
  if (!withNetlink(NETLINK_ROUTE, nl => linkByName(nl, conf.bridge))) return
  await holdBridge(conf, () => withNetlink(NETLINK_ROUTE, nl => deleteUnused(nl, conf.bridge)))
}
