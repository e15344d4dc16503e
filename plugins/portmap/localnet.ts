import { readSysctl, writeSysctl } from '../../src/host/sysctl'
import type { Undo } from '../../src/host/undo'
import type { Addr } from '../../src/ip/addr'
import { localnetOf } from '../../src/netlink/link'
import { routeGet } from '../../src/netlink/route'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { listOwners } from './owners'

/** Is it set for all interfaces? The kernel goes by this one or the interface's own. */
export const routesLocalnetEverywhere = (): boolean => readSysctl('net/ipv4/conf/all/route_localnet') === '1'

/**
 * Lets connections from 127.0.0.0/8 cross to the container: route_localnet on the interface the host reaches it by.
 * Without, the kernel drops them as martians. Documentation/networking/ip-sysctl.rst.
 */
export const ensureLocalnetRouting = (pod: Addr, undo: Undo): void => {
  const link = withNetlink(NETLINK_ROUTE, nl => {
    const index = routeGet(nl, pod)
    return index === undefined ? undefined : localnetOf(nl, index)
  })
  if (!link || link.routeLocalnet) return
  const key = `net/ipv4/conf/${link.name}/route_localnet`
  const value = readSysctl(key)
  if (value === undefined || value === '1') return
  try {
    writeSysctl(key, '1')
  } catch (error) {
    // Where /proc/sys is read-only.
    if (routesLocalnetEverywhere()) return
    throw error
  }
  undo.add(`set ${key} back`, () => {
    // Another container's ports may have found it set meanwhile.
    if (listOwners().length <= 1) writeSysctl(key, value)
  })
}
