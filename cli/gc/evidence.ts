/** The evidence for judging attachments, as the node is at this moment. */
import { statSync } from 'node:fs'
import { findNamespaces, readInsides } from '../../node/survey/namespaces'
import { once, thisHost } from '../../src/life/host-view'
import { claimantsOf } from '../../src/life/judge'
import { linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import type { NetworkConfigList } from '../../src/runtime/conf-list'
import type { Found } from './found'
import type { Evidence } from './judge'

/** The addresses in the namespaces that are linked with this one; undefined where one of them cannot be seen. */
const addressesInside = (): Set<string> | undefined => {
  const namespaces = findNamespaces()
  if (!namespaces.complete) return undefined
  const { byNsid, closed } = withNetlink(NETLINK_ROUTE, nl => readInsides(nl, namespaces, () => {}))
  if (closed > 0) return undefined
  const interfaces = [...byNsid.values()].flat()
  return new Set(interfaces.flatMap(({ addresses }) => addresses.map(cidr => cidr.replace(/\/.*/, ''))))
}

/** The plugins whose containers are linked with the host by a veth. */
const vethTypes = ['bridge', 'kubenet', 'ptp']

/** Each thing is looked at once, when it is asked for: what was found must have been found before. */
export const gatherEvidence = ({ plugins }: NetworkConfigList, found: readonly Found[]): Evidence => {
  const inside = once(addressesInside)
  const names = once(() => new Set(withNetlink(NETLINK_ROUTE, linkList).map(({ name }) => name)))
  const nsfs = once(() => statSync('/proc/self/ns/net').dev)
  return {
    here: thisHost(),
    claimants: once(() => claimantsOf(found.flatMap(({ subject }) => subject ?? []))),
    isNetns: dev => dev === nsfs(),
    hasInterface: name => names().has(name),
    isNowhere: address => vethTypes.includes(plugins[0]?.type ?? '') && inside()?.has(address) === false,
  }
}
