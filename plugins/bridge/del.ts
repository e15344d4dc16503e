import { delegate } from '../../src/cni/delegate'
import { runAll } from '../../src/cni/error'
import type { Call } from '../../src/cni/plugin'
import { parseResult } from '../../src/cni/result'
import { endStep } from '../../src/host/log'
import { isLinkLocal } from '../../src/ip/addr'
import type { Cidr } from '../../src/ip/cidr'
import { addrList } from '../../src/netlink/addr'
import { linkByName, linkDel } from '../../src/netlink/link'
import { NETLINK_ROUTE, NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import { insideNetns, NetnsError } from '../../src/netns/netns'
import { type BridgeConf, readBridgeConf } from './config'
import { teardownMasquerade } from './masquerade'
import { hostVethName, parseAlias } from './veth'

/** Deletes the container's interface from inside and answers the addresses it had; no namespace, nothing to do. */
const deleteInContainer = (call: Call): Cidr[] => {
  if (!call.netns) return []
  const nl = insideNetns(call.netns, () => NetlinkSocket.open(NETLINK_ROUTE))
  try {
    const link = linkByName(nl, call.env.ifName)
    if (!link) return []
    const addresses = addrList(nl, { index: link.index }).map(({ cidr }) => cidr)
    linkDel(nl, link)
    return addresses.filter(({ addr }) => !isLinkLocal(addr))
  } finally {
    nl.close()
  }
}

/** Deletes the host's end, where the namespace is out of reach or the container's end was renamed. */
const deleteOnHost = (call: Call, conf: BridgeConf): void => {
  const { containerID, ifName } = call.env
  withNetlink(NETLINK_ROUTE, nl => {
    const link = linkByName(nl, hostVethName({ network: conf.network, containerID, ifName }))
    const owner = link && parseAlias(link.alias)
    if (link && owner?.containerID === containerID && owner.ifName === ifName) linkDel(nl, link)
  })
}

const knownAddresses = (call: Call): Cidr[] => {
  const { prevResult } = call.conf
  if (prevResult === undefined) return []
  try {
    return parseResult(prevResult, call.version, 'prevResult').ips.map(({ address }) => address)
  } catch {
    return [] // a broken cache must not keep anything from being cleaned
  }
}

export const del = async (call: Call): Promise<void> => {
  const conf = readBridgeConf(call)
  let addresses: Cidr[] = []
  await runAll([
    () => {
      try {
        addresses = deleteInContainer(call)
      } catch (error) {
        // The path leads to a file that is no network namespace (any more).
        if (!(error instanceof NetnsError)) throw error
      }
      endStep('link')
    },
    () => {
      if (addresses.length === 0) deleteOnHost(call, conf)
    },
    async () => {
      if (conf.ipamType) await delegate(call, conf.ipamType, 'DEL')
      endStep('ipam')
    },
    async () => {
      if (addresses.length === 0) addresses = knownAddresses(call)
      await teardownMasquerade(call, conf, addresses)
      endStep('masquerade')
    },
  ])
}
