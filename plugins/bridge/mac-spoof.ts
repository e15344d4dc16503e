/** "macspoofchk": frames under another MAC than the container's are dropped at its port. Only loaded where needed. */
import type { InterfaceID } from '../../src/attachment/attachment'
import type { Undo } from '../../src/host/undo'
import type { Mac } from '../../src/ip/mac'
import { ifNftables } from '../../src/netfilter/nft/socket'
import {
  collectSpoofChecks,
  missingSpoofCheck,
  probeSpoofCheck,
  setupSpoofCheck,
  teardownSpoofCheck,
} from '../../src/netfilter/rules/spoof-check/nft'
import { linkByName } from '../../src/netlink/link'
import { NETLINK_ROUTE, withNetlink } from '../../src/netlink/socket'
import { withNftables } from './nftables'

/** The two ends of an attachment's veth: the host's by name, the container's by MAC. */
type Ends = { readonly hostName: string; readonly mac: Mac }

/** Lets only frames from `mac` enter by the host's end; throws code 999 if the kernel has no nf_tables. */
export const checkMac = (id: InterfaceID, { hostName, mac }: Ends, undo: Undo): void => {
  undo.add('remove the check of the MAC', () => uncheckMac(id))
  withNftables(nl => setupSpoofCheck(nl, id, hostName, mac))
}

/** Throws what making a check would, and makes none. */
export const probeMacCheck = (): void => withNftables(probeSpoofCheck)

/** Removes an attachment's check; none there is no failure. */
export const uncheckMac = (id: InterfaceID): void => {
  ifNftables(nl => teardownSpoofCheck(nl, id))
}

/** What is missing of an attachment's check, in words; undefined if nothing is. */
export const missingMacCheck = (id: InterfaceID, { hostName, mac }: Ends): string | undefined =>
  withNftables(nl => missingSpoofCheck(nl, id, hostName, mac))

/** Removes the checks of host veths that are gone, whichever network they were of. */
export const collectMacChecks = (): void => {
  ifNftables(nl =>
    // One by one: the veth of a check that was found is older than it, so a list made before could lack it.
    withNetlink(NETLINK_ROUTE, route =>
      collectSpoofChecks(nl, name => linkByName(route, name) !== undefined),
    ),
  )
}
