import { readdirSync } from 'node:fs'
import { obstacleTo, readSysctl, writeSysctl } from '../../src/host/sysctl'
import type { Undo } from '../../src/host/undo'
import type { Addr } from '../../src/ip/addr'
import { localnetOf } from '../../src/netlink/link'
import { routeGet } from '../../src/netlink/route'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { listOwners } from './records'

/** The sysctl of an interface; the kernel lets connections through if it is set for this one or for "all". */
const localnetKey = (name: string): string => `net/ipv4/conf/${name}/route_localnet`

const interfacesFolder = '/proc/sys/net/ipv4/conf'

/**
 * Why route_localnet cannot be set on the interface of a container; undefined if it can be, or is already: for all, for
 * new interfaces, or for one that is there, which may be a bridge with containers. Changes nothing.
 */
export const obstacleToLocalnet = (): string | undefined => {
  const obstacle = obstacleTo(localnetKey('default'))
  if (obstacle === undefined) return undefined
  const names = readdirSync(interfacesFolder)
  return names.some(name => readSysctl(localnetKey(name)) === '1') ? undefined : obstacle
}

/**
 * Lets connections from 127.0.0.0/8 cross to the container: route_localnet on the interface the host reaches it by.
 * Without, the kernel drops them as martians. Documentation/networking/ip-sysctl.rst.
 */
export const setUpLocalnetRouting = (pod: Addr, undo: Undo): void => {
  const link = withNetlink(NETLINK_ROUTE, nl => {
    const index = routeGet(nl, pod)
    return index === undefined ? undefined : localnetOf(nl, index)
  })
  if (!link || link.routeLocalnet) return
  const key = localnetKey(link.name)
  const value = readSysctl(key)
  if (value === undefined || value === '1') return
  try {
    writeSysctl(key, '1')
  } catch (error) {
    // Where /proc/sys is read-only.
    if (readSysctl(localnetKey('all')) === '1') return
    throw error
  }
  undo.add(`set ${key} back`, () => {
    // Another container's ports may have found it set meanwhile.
    if (listOwners().length <= 1) writeSysctl(key, value)
  })
}
