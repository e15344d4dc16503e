/** What names nobody and is certainly no ADD's: under the locks that an ADD would hold, nobody is just writing it. */
import { changeLeases, roomsOf } from '../../plugins/host-local/network'
import { sweepOwners } from '../../plugins/portmap/claims'
import type { InterfaceID } from '../../src/attachment/attachment'
import { runAll } from '../../src/cni/error'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import { sweepCache } from '../../src/runtime/result-cache'
import { dataDirs } from './found'

const sweepLeases = async (dataDir: string, network: string): Promise<void> => {
  const rooms = roomsOf({ dataDir, network, cooldownSeconds: 0 })
  if (!rooms.store.exists()) return
  await changeLeases(rooms, leases => {
    for (const address of leases.torn()) leases.releaseAddress(address)
  })
}

/** Removes empty leases of a network, records of host ports whose writers were killed, and torn cached results. */
export const sweep = (
  network: NetworkConfigList,
  valid: readonly InterfaceID[],
  cacheDir: string,
): Promise<void> =>
  runAll([
    ...dataDirs(network).map(dataDir => () => sweepLeases(dataDir, network.name)),
    () => sweepOwners(),
    () => sweepCache(cacheDir, network.name, valid),
  ])
