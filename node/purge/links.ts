/**
 * The interfaces of the host that this program made. Proof: an ifb has an alias of ours, or none and no user; a bridge
 * has the MAC that only this program gives, on this boot and for this name, and no port but those of its VLANs' gateways.
 */
import { isUsed } from '../../plugins/bandwidth/ifb'
import { hostMac } from '../../plugins/bridge/bridge'
import { isGatewayPort } from '../../plugins/bridge/veth'
import { ifbPrefix, parseAlias } from '../../src/attachment/interfaces'
import { type Link, linkByIndex, linkDel, linkList } from '../../src/netlink/link'
import { NETLINK_ROUTE, type NetlinkSocket, withNetlink } from '../../src/netlink/socket'
import type { Tally } from './tally'

/** Deletes an interface if it still is the one that was looked at. */
const deleteSame = (nl: NetlinkSocket, { index, name }: Link): void => {
  const now = linkByIndex(nl, index)
  if (now?.name === name) linkDel(nl, now)
}

const isOwnIfb = (nl: NetlinkSocket, { kind, name, alias, index }: Link): boolean =>
  kind === 'ifb' &&
  name.startsWith(ifbPrefix) &&
  (alias === '' || parseAlias(alias) !== undefined) &&
  !isUsed(nl, { index })

const purgeBridge = (nl: NetlinkSocket, bridge: Link, tally: Tally): void => {
  const ports = linkList(nl, bridge.index)
  const foreign = ports.find(port => !isGatewayPort(port, bridge))
  if (foreign) {
    tally.kept.push(`bridge "${bridge.name}" stays: "${foreign.name}" is its port`)
    return
  }
  tally.remove(`bridge "${bridge.name}"`, () => {
    for (const port of ports) deleteSame(nl, port)
    deleteSame(nl, bridge)
  })
}

/** Deletes this program's ifbs and bridges. Reports bridges of its networks, `named`, that another program made. */
export const purgeLinks = (named: readonly string[], tally: Tally): void =>
  tally.attempt('the interfaces', () =>
    withNetlink(NETLINK_ROUTE, nl => {
      const links = linkList(nl)
      for (const ifb of links.filter(link => isOwnIfb(nl, link)))
        tally.remove(`ifb "${ifb.name}"`, () => deleteSame(nl, ifb))
      for (const bridge of links.filter(({ kind }) => kind === 'bridge')) {
        if (bridge.mac === hostMac(bridge.name)) purgeBridge(nl, bridge, tally)
        else if (named.includes(bridge.name))
          tally.kept.push(`bridge "${bridge.name}" stays: another program made it`)
      }
    }),
  )
