import { validAttachments } from '../../src/cni/conf'
import { CniError, ErrorCode } from '../../src/cni/error'
import { type Call, type Plugin, prevResultOf, requireNetns } from '../../src/cni/plugin'
import { requirePrivilege } from '../../src/cni/privilege'
import type { Result } from '../../src/cni/result'
import { specVersions } from '../../src/cni/version'
import { warn } from '../../src/host/log'
import { isFrom } from '../../src/host/system-error'
import type { Undo } from '../../src/host/undo'
import { formatAddr, isLoopback } from '../../src/ip/addr'
import { formatCidr } from '../../src/ip/cidr'
import { addrList } from '../../src/netlink/addr'
import { IFF_UP, type Link, linkByName, linkSet } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { insideNetns, type Netns } from '../../src/netns/netns'

// CNI_IFNAME is ignored: the loopback interface has one name only.
const ifName = 'lo'

/** Runs `work` with a socket in the container's namespace and the loopback interface there. */
const withLoopback = <T>(netns: Netns, work: (nl: NetlinkSocket, lo: Link) => T): T => {
  const nl = insideNetns(netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    const lo = linkByName(nl, ifName)
    if (!lo) throw new CniError(ErrorCode.internal, `no interface "${ifName}" in netns "${netns.path}"`)
    return work(nl, lo)
  } finally {
    nl.close()
  }
}

const add = async (call: Call, undo: Undo): Promise<Result> => {
  const netns = requireNetns(call)
  const passedOn = prevResultOf(call)
  return withLoopback(netns, (nl, lo) => {
    if (!(lo.flags & IFF_UP)) {
      linkSet(nl, lo, { up: true })
      undo.add('set lo down', () => withLoopback(netns, (again, link) => linkSet(again, link, { up: false })))
    }
    const addrs = addrList(nl, { index: lo.index }).map(({ cidr }) => cidr)
    const stray = addrs.find(({ addr }) => !isLoopback(addr))
    if (stray) {
      throw new CniError(
        ErrorCode.internal,
        `loopback interface found with non-loopback address "${formatAddr(stray.addr)}"`,
        { details: `remove it with: ip addr del ${formatCidr(stray)} dev lo` },
      )
    }
    if (passedOn) return passedOn
    const ofFamily = (family: 4 | 6) => addrs.filter(({ addr }) => addr.family === family).slice(0, 1)
    return {
      interfaces: [{ name: ifName, mac: lo.mac, sandbox: call.env.netns }],
      ips: [...ofFamily(4), ...ofFamily(6)].map(address => ({ interface: 0, address })),
      routes: [],
      dns: {},
    }
  })
}

const check = async (call: Call): Promise<void> => {
  withLoopback(requireNetns(call), (_, lo) => {
    if (!(lo.flags & IFF_UP)) throw new CniError(ErrorCode.internal, 'loopback interface is down')
  })
}

/**
 * Sets the interface down. It may stay up in a namespace that is out of reach, and a runtime does not call the plugins
 * that come after one that fails.
 */
const del = async ({ netns, outOfReach }: Call): Promise<void> => {
  if (outOfReach) warn(`loopback: ${outOfReach.message}: ${outOfReach.details}`)
  if (!netns) return
  try {
    withLoopback(netns, (nl, lo) => linkSet(nl, lo, { up: false }))
  } catch (error) {
    if (!isFrom(error, 'netns')) throw error
    warn(`loopback: ${error.message}`)
  }
}

/** The interface lives and dies with its namespace: nothing of it can be left over. The call must be whole, though. */
const gc = async (call: Call): Promise<void> => {
  validAttachments(call.conf)
}

/** Can a container's loopback interface be set up now? Throws code 50 with the reason if not. */
const status = async (): Promise<void> => {
  requirePrivilege('loopback')
  try {
    withNetlink(NETLINK_ROUTE, nl => linkByName(nl, ifName))
  } catch (cause) {
    throw new CniError(ErrorCode.pluginNotAvailable, 'loopback: netlink cannot be used', { cause })
  }
}

/** Brings the loopback interface of a container up: the counterpart of the reference's loopback. */
export const plugin: Plugin = { name: 'loopback', versions: specVersions, add, check, del, gc, status }
